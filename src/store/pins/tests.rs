//! One pin a machine, on both databases.

use super::*;
use crate::store::testing::on_both;
use crate::store::{Store, StoreError};

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
