//! Asking for pins, setting and forgetting them.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::row::{encoded, key_columns, machine_columns, of_machine, read};
use super::{Forgotten, MachineId, NewPin, Pin};
use crate::domain::{InstanceId, PinVoucher};
use crate::store::rows::Cells;
use crate::store::sql::Sql;
use crate::store::{Store, StoreError, answered};

impl Store {
    /// The machine's pin, if it has one.
    ///
    /// # Errors
    /// When the database does not answer or its row is damaged.
    pub async fn pin(&self, machine: &MachineId) -> Result<Option<Pin>, StoreError> {
        let sql = of_machine(Sql::new("SELECT * FROM host_key_pins"), machine);
        let found = answered(async { Ok(sql.query().fetch_optional(&self.pool).await?) }).await?;
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
        let columns = machine_columns(machine).into_iter().chain(key_columns(pin, now));
        let (names, values): (Vec<_>, Vec<_>) = columns.unzip();
        let mut sql = Sql::new("INSERT INTO host_key_pins (");
        sql.push(&names.join(", ")).push(") VALUES ").bind_all(values);
        // The update that changes nothing makes RETURNING answer with the row that was there.
        sql.push(" ON CONFLICT (account, region, instance_id) DO UPDATE SET account = excluded.account RETURNING *");
        let held = answered(async { Ok(sql.query().fetch_one(&self.pool).await?) }).await?;
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
        let mut sql = Sql::new("UPDATE host_key_pins");
        let mut separator = " SET ";
        for (column, value) in key_columns(pin, now) {
            sql.push(separator).push(column).push(" = ").bind(value);
            separator = ", ";
        }
        let mut sql = of_machine(sql, machine);
        sql.push(" AND key_blob = ").bind(encoded(replaced));
        self.run(sql).await?;
        self.remember(machine, pin, now).await
    }

    /// Notes that the machine proved to have its pinned key; says whether there is such a pin.
    /// A time before the last one leaves the last one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn touch(&self, machine: &MachineId, now: Timestamp) -> Result<bool, StoreError> {
        let now = now.as_millisecond();
        let mut sql = Sql::new("UPDATE host_key_pins SET last_seen = CASE WHEN last_seen < ");
        sql.bind(now).push(" THEN ").bind(now).push(" ELSE last_seen END");
        Ok(self.run(of_machine(sql, machine)).await? > 0)
    }

    /// Notes that an operator vouches for the key that is pinned; says whether that key is pinned
    /// to the machine.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn vouch(&self, machine: &MachineId, key_blob: &[u8]) -> Result<bool, StoreError> {
        let mut sql = Sql::new("UPDATE host_key_pins SET vouched_by = ");
        sql.bind(PinVoucher::Operator.name());
        let mut sql = of_machine(sql, machine);
        sql.push(" AND key_blob = ").bind(encoded(key_blob));
        Ok(self.run(sql).await? > 0)
    }

    /// Removes a pin, a damaged one too, and says what it was.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget(&self, machine: &MachineId) -> Result<Forgotten, StoreError> {
        let mut sql = of_machine(Sql::new("DELETE FROM host_key_pins"), machine);
        sql.push(" RETURNING *");
        let gone = answered(async { Ok(sql.query().fetch_optional(&self.pool).await?) }).await?;
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
        let mut sql = Sql::new("SELECT account, region FROM host_key_pins WHERE instance_id = ");
        sql.bind(instance.as_str()).push(" ORDER BY account, region");
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        let machine = |row: &AnyRow| {
            let cells = Cells { row, table: "host_key_pins" };
            let (account, region) = (cells.text("account")?, cells.text("region")?);
            Ok(MachineId { account, region, instance: instance.clone() })
        };
        rows.iter().map(machine).collect()
    }

    /// Every pin, by account, region and instance id; a damaged one is an error in its place.
    /// There are at most as many as there were instances.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pins(&self) -> Result<Vec<Result<Pin, StoreError>>, StoreError> {
        let sql = Sql::new("SELECT * FROM host_key_pins ORDER BY account, region, instance_id");
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        Ok(rows.iter().map(read).collect())
    }
}
