//! Host keys of targets, each pinned to one machine.

use std::fmt;

use data_encoding::BASE64;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError};
use crate::credential::BoxFuture;
use crate::domain::{Fingerprint, InstanceId, PinVoucher, Target};
use crate::vouch::{PinBoard, PinError, PinnedKey};

/// Which machine: private addresses overlap and are reused, these three together are not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineId {
    /// The 12-digit account id.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance id.
    pub instance: InstanceId,
}

impl From<&Target> for MachineId {
    fn from(target: &Target) -> Self {
        Self { account: target.account.clone(), region: target.region.clone(), instance: target.id.clone() }
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} of account {}", self.instance, self.region, self.account)
    }
}

/// What became of a pin that was to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forgotten {
    /// There was none.
    Nothing,
    /// It is gone, and this was it.
    Pin(Box<Pin>),
    /// It is gone, and what it was could not be read.
    Damaged,
}

/// One pinned host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Whose key it is.
    pub machine: MachineId,
    /// The key's type, as SSH names it.
    pub key_type: String,
    /// The public key in its wire form (RFC 4253 §6.6).
    pub key_blob: Vec<u8>,
    /// The fingerprint of `key_blob`.
    pub fingerprint: Fingerprint,
    /// What made it trustworthy.
    pub vouched_by: PinVoucher,
    /// When it was pinned, to the millisecond.
    pub first_seen: Timestamp,
    /// When the machine last proved to have it, to the millisecond.
    pub last_seen: Timestamp,
    /// What was known of the machine when the key was pinned.
    pub circumstances: Circumstances,
}

/// A key that is to be pinned.
#[derive(Debug, Clone, Copy)]
pub struct NewPin<'a> {
    /// The key's type, as SSH names it.
    pub key_type: &'a str,
    /// The public key in its wire form (RFC 4253 §6.6).
    pub key_blob: &'a [u8],
    /// What makes it trustworthy.
    pub vouched_by: PinVoucher,
    /// What is known of the machine.
    pub circumstances: &'a Circumstances,
}

/// What was known of a machine when its key was pinned. An operator who pins a key beforehand knows nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// When it had last been started, to the millisecond.
    pub launch_time: Option<Timestamp>,
    /// Its image.
    pub image: Option<String>,
}

impl<'a> NewPin<'a> {
    /// A key whose type is what it says itself.
    fn of(key_blob: &'a [u8], vouched_by: PinVoucher, circumstances: &'a Circumstances) -> Self {
        let key_type = crate::signature::key_type(key_blob).unwrap_or("unknown");
        Self { key_type, key_blob, vouched_by, circumstances }
    }
}

impl From<&Target> for Circumstances {
    fn from(target: &Target) -> Self {
        let image = (!target.image.is_empty()).then(|| target.image.clone());
        Self { launch_time: target.launch_time, image }
    }
}

impl Circumstances {
    fn launched(&self) -> Option<i64> {
        self.launch_time.map(Timestamp::as_millisecond)
    }
}

impl Store {
    /// The machine's pin, if it has one.
    ///
    /// # Errors
    /// When the database does not answer or its row is damaged.
    pub async fn pin(&self, machine: &MachineId) -> Result<Option<Pin>, StoreError> {
        let found = sqlx::query(
            "SELECT * FROM host_key_pins
             WHERE account = $1 AND region = $2 AND instance_id = $3",
        )
        .bind(&machine.account)
        .bind(&machine.region)
        .bind(machine.instance.as_str())
        .fetch_optional(&self.pool)
        .await?;
        found.as_ref().map(read).transpose()
    }

    /// Pins a key to a machine that has none, and returns the pin that holds. Of two callers that
    /// race, the first one's key is pinned and both get it: compare before trusting.
    ///
    /// # Errors
    /// When the database does not answer or the stored row is damaged.
    pub async fn remember(
        &self,
        machine: &MachineId,
        pin: &NewPin<'_>,
        now: Timestamp,
    ) -> Result<Pin, StoreError> {
        // The update that changes nothing makes RETURNING answer with the row that was there.
        let held = sqlx::query(
            "INSERT INTO host_key_pins
               (account, region, instance_id, key_type, key_blob, fingerprint, vouched_by,
                first_seen, last_seen, launch_time, image)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10)
             ON CONFLICT (account, region, instance_id) DO UPDATE SET account = excluded.account
             RETURNING *",
        )
        .bind(&machine.account)
        .bind(&machine.region)
        .bind(machine.instance.as_str())
        .bind(pin.key_type)
        .bind(BASE64.encode(pin.key_blob))
        .bind(Fingerprint::of_blob(pin.key_blob).as_str())
        .bind(pin.vouched_by.name())
        .bind(now.as_millisecond())
        .bind(pin.circumstances.launched())
        .bind(pin.circumstances.image.as_deref())
        .fetch_one(&self.pool)
        .await?;
        read(&held)
    }

    /// Pins a key in place of the one that is `replaced`. Where another is pinned, that one stays; where none is
    /// any more, the key is pinned as if none had been. Answers the pin that holds: compare before trusting.
    ///
    /// # Errors
    /// When the database does not answer or the stored row is damaged.
    pub async fn replace(
        &self,
        machine: &MachineId,
        replaced: &[u8],
        pin: &NewPin<'_>,
        now: Timestamp,
    ) -> Result<Pin, StoreError> {
        sqlx::query(
            "UPDATE host_key_pins
             SET key_type = $5, key_blob = $6, fingerprint = $7, vouched_by = $8, first_seen = $9, last_seen = $9,
                 launch_time = $10, image = $11
             WHERE account = $1 AND region = $2 AND instance_id = $3 AND key_blob = $4",
        )
        .bind(&machine.account)
        .bind(&machine.region)
        .bind(machine.instance.as_str())
        .bind(BASE64.encode(replaced))
        .bind(pin.key_type)
        .bind(BASE64.encode(pin.key_blob))
        .bind(Fingerprint::of_blob(pin.key_blob).as_str())
        .bind(pin.vouched_by.name())
        .bind(now.as_millisecond())
        .bind(pin.circumstances.launched())
        .bind(pin.circumstances.image.as_deref())
        .execute(&self.pool)
        .await?;
        self.remember(machine, pin, now).await
    }

    /// Notes that the machine proved to have its pinned key; says whether there is such a pin.
    /// A time before the last one leaves the last one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn touch(&self, machine: &MachineId, now: Timestamp) -> Result<bool, StoreError> {
        let touched = sqlx::query(
            "UPDATE host_key_pins SET last_seen = CASE WHEN last_seen < $4 THEN $4 ELSE last_seen END
             WHERE account = $1 AND region = $2 AND instance_id = $3",
        )
        .bind(&machine.account)
        .bind(&machine.region)
        .bind(machine.instance.as_str())
        .bind(now.as_millisecond())
        .execute(&self.pool)
        .await?;
        Ok(touched.rows_affected() > 0)
    }

    /// Notes that an operator vouches for the key that is pinned; says whether that key is pinned
    /// to the machine.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn vouch(&self, machine: &MachineId, key_blob: &[u8]) -> Result<bool, StoreError> {
        let vouched = sqlx::query(
            "UPDATE host_key_pins SET vouched_by = $5
             WHERE account = $1 AND region = $2 AND instance_id = $3 AND key_blob = $4",
        )
        .bind(&machine.account)
        .bind(&machine.region)
        .bind(machine.instance.as_str())
        .bind(BASE64.encode(key_blob))
        .bind(PinVoucher::Operator.name())
        .execute(&self.pool)
        .await?;
        Ok(vouched.rows_affected() > 0)
    }

    /// Removes a pin, a damaged one too, and says what it was.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget(&self, machine: &MachineId) -> Result<Forgotten, StoreError> {
        let gone = sqlx::query(
            "DELETE FROM host_key_pins
             WHERE account = $1 AND region = $2 AND instance_id = $3
             RETURNING *",
        )
        .bind(&machine.account)
        .bind(&machine.region)
        .bind(machine.instance.as_str())
        .fetch_optional(&self.pool)
        .await?;
        Ok(match gone.as_ref().map(read) {
            None => Forgotten::Nothing,
            Some(Ok(pin)) => Forgotten::Pin(Box::new(pin)),
            Some(Err(_)) => Forgotten::Damaged,
        })
    }

    /// The machines of that instance id which have a pin, be it a damaged one, by account and
    /// region. Both are as the database has them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pinned_machines(&self, instance: &InstanceId) -> Result<Vec<MachineId>, StoreError> {
        let rows = sqlx::query(
            "SELECT account, region FROM host_key_pins
             WHERE instance_id = $1 ORDER BY account, region",
        )
        .bind(instance.as_str())
        .fetch_all(&self.pool)
        .await?;
        let machine = |row: &AnyRow| {
            Ok(MachineId {
                account: row.try_get("account")?,
                region: row.try_get("region")?,
                instance: instance.clone(),
            })
        };
        rows.iter().map(machine).collect()
    }

    /// Every pin, by account, region and instance id; a damaged one is an error in its place.
    /// There are at most as many as there were instances.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pins(&self) -> Result<Vec<Result<Pin, StoreError>>, StoreError> {
        let rows = sqlx::query("SELECT * FROM host_key_pins ORDER BY account, region, instance_id")
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(read).collect())
    }
}

impl PinBoard for Store {
    fn pin<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Option<PinnedKey>, PinError>> {
        Box::pin(async move {
            let pin =
                self.pin(&MachineId::from(target)).await.map_err(|error| PinError(error.to_string()))?;
            Ok(pin.map(known))
        })
    }

    fn remember<'a>(
        &'a self,
        target: &'a Target,
        key_blob: &'a [u8],
        vouched_by: PinVoucher,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<PinnedKey, PinError>> {
        Box::pin(async move {
            let circumstances = Circumstances::from(target);
            let new = NewPin::of(key_blob, vouched_by, &circumstances);
            let pin = self.remember(&MachineId::from(target), &new, now).await;
            pin.map(known).map_err(|error| PinError(error.to_string()))
        })
    }

    fn replace<'a>(
        &'a self,
        target: &'a Target,
        replaced: &'a PinnedKey,
        key_blob: &'a [u8],
        vouched_by: PinVoucher,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<PinnedKey, PinError>> {
        Box::pin(async move {
            let circumstances = Circumstances::from(target);
            let new = NewPin::of(key_blob, vouched_by, &circumstances);
            let pin = self.replace(&MachineId::from(target), &replaced.key_blob, &new, now).await;
            pin.map(known).map_err(|error| PinError(error.to_string()))
        })
    }

    fn seen<'a>(&'a self, target: &'a Target, now: Timestamp) -> BoxFuture<'a, Result<(), PinError>> {
        Box::pin(async move {
            let touched = self.touch(&MachineId::from(target), now).await;
            touched.map(|_pinned| ()).map_err(|error| PinError(error.to_string()))
        })
    }
}

fn known(pin: Pin) -> PinnedKey {
    PinnedKey {
        key_type: pin.key_type,
        key_blob: pin.key_blob,
        fingerprint: pin.fingerprint,
        vouched_by: pin.vouched_by,
        pinned_at: pin.first_seen,
        launch_time: pin.circumstances.launch_time,
        image: pin.circumstances.image,
    }
}

/// One row, checked.
fn read(row: &AnyRow) -> Result<Pin, StoreError> {
    let (account, region): (String, String) = (row.try_get("account")?, row.try_get("region")?);
    let instance: String = row.try_get("instance_id")?;
    let damaged =
        |field| StoreError::Row { machine: format!("{instance} in {region} of account {account}"), field };

    let id = InstanceId::parse(&instance).ok_or_else(|| damaged("instance_id"))?;
    let encoded: String = row.try_get("key_blob")?;
    let key_blob = BASE64.decode(encoded.as_bytes()).map_err(|_| damaged("key_blob"))?;
    let fingerprint = Fingerprint::of_blob(&key_blob);
    if row.try_get::<String, _>("fingerprint")? != fingerprint.as_str() {
        return Err(damaged("fingerprint"));
    }
    let vouched_by: String = row.try_get("vouched_by")?;
    let vouched_by = PinVoucher::parse(&vouched_by).ok_or_else(|| damaged("vouched_by"))?;
    let time = |column| -> Result<Timestamp, StoreError> {
        Timestamp::from_millisecond(row.try_get(column)?).map_err(|_| damaged(column))
    };
    let launched: Option<i64> = row.try_get("launch_time")?;
    let launch_time = launched
        .map(|launched| Timestamp::from_millisecond(launched).map_err(|_| damaged("launch_time")))
        .transpose()?;
    Ok(Pin {
        circumstances: Circumstances { launch_time, image: row.try_get("image")? },
        key_type: row.try_get("key_type")?,
        first_seen: time("first_seen")?,
        last_seen: time("last_seen")?,
        machine: MachineId { account: account.clone(), region: region.clone(), instance: id },
        key_blob,
        fingerprint,
        vouched_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::on_both;

    fn machine(region: &str) -> MachineId {
        MachineId {
            account: "123456789012".to_owned(),
            region: region.to_owned(),
            instance: InstanceId::parse("i-0123456789abcdef0").expect("an instance id"),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    fn new(key_blob: &[u8]) -> NewPin<'_> {
        static UNKNOWN: Circumstances = Circumstances { launch_time: None, image: None };
        let vouched_by = PinVoucher::FirstUse;
        NewPin { key_type: "ssh-ed25519", key_blob, vouched_by, circumstances: &UNKNOWN }
    }

    async fn remember(store: &Store, machine: &MachineId, blob: &[u8]) -> Pin {
        store.remember(machine, &new(blob), at(100)).await.expect("remembered")
    }

    on_both! {
        async fn pins_survive_a_restart(lab) {
            let store = lab.open().await;
            let pin = remember(&store, &machine("eu-west-1"), b"key").await;
            store.close().await;
            let store = lab.open().await;
            assert_eq!(store.pin(&machine("eu-west-1")).await.expect("an answer"), Some(pin.clone()));
            assert_eq!(pin.fingerprint, Fingerprint::of_blob(b"key"));
            assert_eq!((pin.vouched_by, pin.first_seen, pin.last_seen), (PinVoucher::FirstUse, at(100), at(100)));
            assert_eq!((pin.key_type.as_str(), pin.key_blob.as_slice()), ("ssh-ed25519", b"key".as_slice()));
        }

        async fn a_second_key_does_not_replace_the_first(lab) {
            let store = lab.open().await;
            let first = remember(&store, &machine("eu-west-1"), b"first").await;
            let second = remember(&store, &machine("eu-west-1"), b"second").await;
            assert_eq!(second, first);
            assert_eq!(second.key_blob, b"first");
        }

        async fn of_racing_first_uses_one_wins_and_all_get_it(lab) {
            let store = lab.open().await;
            let mut racing = tokio::task::JoinSet::new();
            for number in 0..16_u8 {
                let store = store.clone();
                racing.spawn(async move { remember(&store, &machine("eu-west-1"), &[number]).await });
            }
            let pins = racing.join_all().await;
            let held = store.pin(&machine("eu-west-1")).await.expect("an answer").expect("a pin");
            assert_eq!(pins.len(), 16);
            assert!(pins.iter().all(|pin| *pin == held));
        }

        async fn the_same_id_in_another_region_is_another_machine(lab) {
            let store = lab.open().await;
            remember(&store, &machine("eu-west-1"), b"key").await;
            assert_eq!(store.pin(&machine("us-east-1")).await.expect("an answer"), None);
            remember(&store, &machine("us-east-1"), b"other").await;
            let pins = store.pins().await.expect("an answer").into_iter().map(|pin| pin.expect("sound"));
            let regions: Vec<_> = pins.map(|pin| pin.machine.region).collect();
            assert_eq!(regions, ["eu-west-1", "us-east-1"]);
            let machines = store.pinned_machines(&machine("").instance).await.expect("an answer");
            assert_eq!(machines, [machine("eu-west-1"), machine("us-east-1")]);
            let other = InstanceId::parse("i-0123456789abcdef1").expect("an instance id");
            assert!(store.pinned_machines(&other).await.expect("an answer").is_empty());
        }

        async fn touching_moves_the_last_time_forward_only(lab) {
            let store = lab.open().await;
            let machine = machine("eu-west-1");
            assert!(!store.touch(&machine, at(1)).await.expect("an answer"));
            remember(&store, &machine, b"key").await;
            assert!(store.touch(&machine, at(200)).await.expect("an answer"));
            assert!(store.touch(&machine, at(150)).await.expect("an answer"));
            let pin = store.pin(&machine).await.expect("an answer").expect("a pin");
            assert_eq!((pin.first_seen, pin.last_seen), (at(100), at(200)));
        }

        async fn a_pin_remembers_its_circumstances_and_can_be_replaced_while_it_is_the_one(lab) {
            let store = lab.open().await;
            let machine = machine("eu-west-1");
            let circumstances = Circumstances { launch_time: Some(at(50)), image: Some("ami-1".to_owned()) };
            let console = NewPin { vouched_by: PinVoucher::Console, circumstances: &circumstances, ..new(b"one") };
            let pin = store.remember(&machine, &console, at(100)).await.expect("remembered");
            assert_eq!((pin.vouched_by, &pin.circumstances), (PinVoucher::Console, &circumstances));
            let signed = NewPin { vouched_by: PinVoucher::Ca, ..new(b"two") };
            let kept = store.replace(&machine, b"other", &signed, at(200)).await.expect("an answer");
            assert_eq!(kept, pin, "another key is pinned than the one that was to be replaced");
            let replaced = store.replace(&machine, b"one", &signed, at(200)).await.expect("an answer");
            assert_eq!((replaced.key_blob.as_slice(), replaced.first_seen), (b"two".as_slice(), at(200)));
            assert_eq!((replaced.vouched_by, replaced.circumstances), (PinVoucher::Ca, Circumstances::default()));
            store.forget(&machine).await.expect("forgotten");
            let anew = store.replace(&machine, b"two", &new(b"three"), at(300)).await.expect("an answer");
            assert_eq!(anew.key_blob, b"three");
        }

        async fn a_forgotten_pin_can_be_set_anew(lab) {
            let store = lab.open().await;
            let machine = machine("eu-west-1");
            let old = remember(&store, &machine, b"old").await;
            assert_eq!(store.forget(&machine).await.expect("an answer"), Forgotten::Pin(Box::new(old)));
            assert_eq!(store.forget(&machine).await.expect("an answer"), Forgotten::Nothing);
            assert_eq!(remember(&store, &machine, b"new").await.key_blob, b"new");
        }

        async fn an_operator_vouches_for_the_key_that_is_pinned_and_for_no_other(lab) {
            let store = lab.open().await;
            let machine = machine("eu-west-1");
            assert!(!store.vouch(&machine, b"key").await.expect("an answer"));
            remember(&store, &machine, b"key").await;
            assert!(!store.vouch(&machine, b"other").await.expect("an answer"));
            let voucher = async || store.pin(&machine).await.expect("an answer").expect("a pin").vouched_by;
            assert_eq!(voucher().await, PinVoucher::FirstUse);
            assert!(store.vouch(&machine, b"key").await.expect("an answer"));
            assert_eq!(voucher().await, PinVoucher::Operator);
        }

        async fn a_row_that_was_tampered_with_is_an_error_and_can_be_forgotten(lab) {
            let store = lab.open().await;
            let machine = machine("eu-west-1");
            remember(&store, &machine, b"key").await;
            let tamper = "UPDATE host_key_pins SET key_blob = 'b3RoZXI='";
            sqlx::query(tamper).execute(&store.pool).await.expect("tampered");
            let error = store.pin(&machine).await.expect_err("refused");
            assert!(matches!(error, StoreError::Row { field: "fingerprint", .. }), "{error}");
            let listed = store.pins().await.expect("an answer");
            assert!(matches!(listed.as_slice(), [Err(StoreError::Row { .. })]), "{listed:?}");
            assert_eq!(store.forget(&machine).await.expect("an answer"), Forgotten::Damaged);
            assert!(store.pins().await.expect("an answer").is_empty());
        }
    }
}
