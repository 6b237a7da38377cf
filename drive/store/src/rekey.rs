//! Giving a ledger another key: every record is opened and sealed anew, in one transaction.

use crate::backend::{Head, Row, Rows, Writer, Writes};
use crate::seal::{Belongs, Sealer};
use crate::{Key, LockError, StoreError, lock};

/// Entries in one go.
const PAGE: u32 = 1000;

/// Seals everything that `old` sealed with a new key for `key`; without one, leaves it clear.
pub(crate) fn rekey(
    writer: &mut dyn Writer,
    old: &Sealer,
    key: Option<&Key>,
    place: &str,
    on_one_machine: bool,
) -> Result<Sealer, LockError> {
    let mut result = Err(LockError::Store(StoreError::Closed));
    let mut renewed: Option<(Sealer, Head)> = None;
    let mut anything = false;
    writer.transact(&mut |tables, again| {
        let head = tables.head()?;
        if again && renewed.as_ref().is_some_and(|(_, new)| new.key_id == head.key_id) {
            return Ok(());
        }
        if head.key_id != old.key_id() {
            result = Err(LockError::Store(StoreError::KeyChanged { place: place.to_owned() }));
            return Ok(());
        }
        let now = tables.now()?;
        let locks = tables.locks()?;
        if let Some(held) = locks.iter().find_map(|row| lock::held(row, now, on_one_machine, old)) {
            result = Err(LockError::Held(Box::new(held)));
            return Ok(());
        }
        let (sealer, new) = Sealer::renewed(&head, key)?;
        for lock in locks {
            tables.remove_lock(&lock.id)?;
        }
        tables.remove_snapshot()?;
        anything = head.last > 0;
        seal_all(tables, old, &sealer, place)?;
        tables.put_key(&new.key_id, &new.wrapped)?;
        renewed = Some((sealer, new));
        Ok(())
    })?;
    match renewed {
        Some((sealer, _)) => {
            if anything {
                writer.scrub()?;
            }
            Ok(sealer)
        }
        None => result,
    }
}

fn seal_all(tables: &mut dyn Writes, old: &Sealer, new: &Sealer, place: &str) -> Result<(), StoreError> {
    let mut from = 1;
    loop {
        let mut rows: Vec<Row> =
            tables.rows(&Rows { run: None, environment: None, from, count: PAGE, backwards: false })?;
        let Some(last) = rows.last().map(|row| row.sequence) else { return Ok(()) };
        for row in &mut rows {
            let stored = std::mem::take(&mut row.record);
            let foreign = |_| StoreError::Foreign { place: place.to_owned(), sequence: row.sequence };
            let record = old.open(&Belongs::Entry(row), stored).map_err(foreign)?;
            row.record = new.seal(&Belongs::Entry(row), record)?;
        }
        tables.replace_records(&rows)?;
        from = last + 1;
    }
}
