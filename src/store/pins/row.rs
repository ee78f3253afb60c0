//! A pin as its row has it.

use data_encoding::BASE64;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Circumstances, MachineId, NewPin, Pin};
use crate::domain::{Fingerprint, InstanceId, PinVoucher};
use crate::store::StoreError;
use crate::store::sql::{Sql, Value};

/// The columns that say whose the pin is.
pub(super) fn machine_columns(machine: &MachineId) -> [(&'static str, Value); 3] {
    [
        ("account", machine.account.as_str().into()),
        ("region", machine.region.as_str().into()),
        ("instance_id", machine.instance.as_str().into()),
    ]
}

/// The columns of a key that is pinned at this moment.
pub(super) fn key_columns(pin: &NewPin<'_>, now: Timestamp) -> [(&'static str, Value); 8] {
    [
        ("key_type", pin.key_type.into()),
        ("key_blob", encoded(pin.key_blob).into()),
        ("fingerprint", Fingerprint::of_blob(pin.key_blob).as_str().into()),
        ("vouched_by", pin.vouched_by.name().into()),
        ("first_seen", now.as_millisecond().into()),
        ("last_seen", now.as_millisecond().into()),
        ("launch_time", pin.circumstances.launch_time.map(Timestamp::as_millisecond).into()),
        ("image", pin.circumstances.image.as_deref().into()),
    ]
}

/// A key as its column has it.
pub(super) fn encoded(key_blob: &[u8]) -> String {
    BASE64.encode(key_blob)
}

/// A statement about this machine's row alone.
pub(super) fn of_machine(mut sql: Sql, machine: &MachineId) -> Sql {
    let mut first = true;
    for (column, value) in machine_columns(machine) {
        sql.condition(&mut first).push(column).push(" = ").bind(value);
    }
    sql
}

/// One row, checked.
pub(super) fn read(row: &AnyRow) -> Result<Pin, StoreError> {
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
