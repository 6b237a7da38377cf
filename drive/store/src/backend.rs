//! What both kinds of storage can do. What an append, a lock, a snapshot or a change of key *is* stands elsewhere, once:
//! here are only rows, and transactions that hold off every other writer of the same ledger.

use crate::StoreError;

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) sequence: u64,
    pub(crate) at: i64,
    pub(crate) run: String,
    pub(crate) environment: String,
    /// The event's record, sealed where the ledger has a key.
    pub(crate) record: Vec<u8>,
}

/// What a ledger says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its identity, made with it: 16 random bytes.
    pub(crate) id: Vec<u8>,
    /// The number of the last entry; 0 where there is none.
    pub(crate) last: u64,
    /// Tells its keys apart; empty where it has none.
    pub(crate) key_id: Vec<u8>,
    /// The key of its records, encrypted for the user's key; empty where it has none.
    pub(crate) wrapped: Vec<u8>,
}

/// The snapshot as it is stored.
pub(crate) struct SnapshotRow {
    pub(crate) sequence: u64,
    pub(crate) checksum: Vec<u8>,
    /// The state's record, sealed where the ledger has a key.
    pub(crate) state: Vec<u8>,
}

/// A lock as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LockRow {
    pub(crate) environment: String,
    pub(crate) id: String,
    /// The machine, as `lock::Process` writes it.
    pub(crate) machine: String,
    pub(crate) pid: i64,
    /// When the process started, in the system's own unit: tells it from a later one with its number.
    pub(crate) started: i64,
    /// When the lock ends unless it is renewed: milliseconds by the storage's own clock.
    pub(crate) expires: i64,
    /// Who holds it, as a record, sealed where the ledger has a key.
    pub(crate) holder: Vec<u8>,
}

/// Which rows are read.
pub(crate) struct Rows<'a> {
    pub(crate) run: Option<&'a str>,
    pub(crate) environment: Option<&'a str>,
    pub(crate) from: u64,
    pub(crate) count: u32,
    /// The last ones first.
    pub(crate) backwards: bool,
}

/// What is read.
pub(crate) trait Reads {
    fn head(&mut self) -> Result<Head, StoreError>;
    fn rows(&mut self, which: &Rows<'_>) -> Result<Vec<Row>, StoreError>;
    fn snapshot(&mut self) -> Result<Option<SnapshotRow>, StoreError>;
    fn locks(&mut self) -> Result<Vec<LockRow>, StoreError>;
    /// The storage's clock, in milliseconds since 1970.
    fn now(&mut self) -> Result<i64, StoreError>;
    /// Bytes that the entries take.
    fn size(&mut self) -> Result<u64, StoreError>;
}

/// What is written, inside a transaction.
pub(crate) trait Writes: Reads {
    /// Adds rows; their numbers follow the last one's.
    fn insert(&mut self, rows: &[Row]) -> Result<(), StoreError>;
    /// Puts other records into rows that are there.
    fn replace_records(&mut self, rows: &[Row]) -> Result<(), StoreError>;
    fn put_snapshot(&mut self, snapshot: &SnapshotRow) -> Result<(), StoreError>;
    fn remove_snapshot(&mut self) -> Result<(), StoreError>;
    /// Puts the lock of an environment in place of the one before.
    fn put_lock(&mut self, lock: &LockRow) -> Result<(), StoreError>;
    fn remove_lock(&mut self, id: &str) -> Result<(), StoreError>;
    fn put_key(&mut self, key_id: &[u8], wrapped: &[u8]) -> Result<(), StoreError>;
}

/// The storage, for reading.
pub(crate) trait Reader: Send {
    /// Reads, at most twice: again after a connection was lost.
    fn read(&mut self, work: &mut dyn FnMut(&mut dyn Reads) -> Result<(), StoreError>) -> Result<(), StoreError>;
}

/// What is done in a transaction. It is called again where it is not known whether the transaction before was
/// committed, and then is told so (`true`): it has to look first.
pub(crate) type Work<'a> = dyn FnMut(&mut dyn Writes, bool) -> Result<(), StoreError> + 'a;

/// The storage, for writing.
pub(crate) trait Writer: Send {
    /// Does something in one durable transaction, which holds off every other writer of this ledger from its beginning.
    fn transact(&mut self, work: &mut Work<'_>) -> Result<(), StoreError>;

    /// Overwrites what was deleted or replaced, as far as the storage can.
    fn scrub(&mut self) -> Result<(), StoreError>;
}
