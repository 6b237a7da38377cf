//! The tables: how they are made, and what is read and written.

use ::postgres::types::{ToSql, Type};
use ::postgres::{Client, GenericClient, Row as Found};

use super::{Database, failed};
use crate::StoreError;
use crate::backend::{Head, LockRow, Reads, Row, Rows, SnapshotRow, Writes};
use crate::seal::random;

/// The version of the tables.
const VERSION: i64 = 1;

/// Held by whoever makes the tables: `andon` as a number.
const MAKING: i64 = 0x61_6e_64_6f_6e;

/// Entries are whole records; the columns beside them are those by which they are looked for.
const TABLES: &str = "
    CREATE TABLE andon_format (format bigint NOT NULL);
    CREATE TABLE andon_ledgers (
        ledger   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        project  text NOT NULL UNIQUE,
        origin   text NOT NULL,
        id       bytea NOT NULL,
        last     bigint NOT NULL,
        key_id   bytea NOT NULL,
        wrapped  bytea NOT NULL
    );
    CREATE TABLE andon_entries (
        ledger      bigint NOT NULL REFERENCES andon_ledgers,
        sequence    bigint NOT NULL,
        at          bigint NOT NULL,
        run         text NOT NULL,
        environment text NOT NULL,
        event       bytea NOT NULL,
        PRIMARY KEY (ledger, sequence)
    );
    CREATE INDEX andon_entries_by_run ON andon_entries (ledger, run, sequence);
    CREATE INDEX andon_entries_by_environment ON andon_entries (ledger, environment, sequence);
    CREATE TABLE andon_snapshots (
        ledger   bigint PRIMARY KEY REFERENCES andon_ledgers,
        sequence bigint NOT NULL,
        checksum bytea NOT NULL,
        state    bytea NOT NULL
    );
    CREATE TABLE andon_locks (
        ledger      bigint NOT NULL REFERENCES andon_ledgers,
        environment text NOT NULL,
        id          text NOT NULL,
        machine     text NOT NULL,
        pid         bigint NOT NULL,
        started     bigint NOT NULL,
        expires     bigint NOT NULL,
        holder      bytea NOT NULL,
        PRIMARY KEY (ledger, environment)
    );
";

/// The number of a project's ledger. Where there is none it is made, if wanted, and so are the tables.
pub(super) fn find(client: &mut Client, database: &Database, make: bool) -> Result<Option<i64>, StoreError> {
    let place = database.to_string();
    let sql = |error: ::postgres::Error| failed(&place, &error);
    if !are_there(client).map_err(sql)? {
        if !make {
            return Ok(None);
        }
        create(client).map_err(sql)?;
    }
    let format: i64 = client.query_typed_one("SELECT format FROM andon_format", &[]).map_err(sql)?.get(0);
    if format > VERSION {
        return Err(StoreError::Newer { path: place.into(), found: format, known: VERSION });
    }
    let find = "SELECT ledger, origin FROM andon_ledgers WHERE project = $1";
    let name = (&database.project as &(dyn ToSql + Sync), Type::TEXT);
    let mut found = client.query_typed_opt(find, std::slice::from_ref(&name)).map_err(sql)?;
    if found.is_none() && make {
        let id: [u8; 16] = random()?;
        let insert = "INSERT INTO andon_ledgers (project, origin, id, last, key_id, wrapped)
            VALUES ($1, $2, $3, 0, '', '') ON CONFLICT (project) DO NOTHING";
        let parameters = [name.clone(), (&database.origin, Type::TEXT), (&id.as_slice(), Type::BYTEA)];
        client.query_typed(insert, &parameters).map_err(sql)?;
        found = client.query_typed_opt(find, &[name]).map_err(sql)?;
    }
    let Some(row) = found else { return Ok(None) };
    let origin: String = row.get(1);
    if !database.declared && origin != database.origin {
        return Err(StoreError::OtherProject { place, project: database.project.clone(), origin });
    }
    Ok(Some(row.get(0)))
}

fn are_there(client: &mut impl GenericClient) -> Result<bool, ::postgres::Error> {
    // Not `to_regclass`: inside a transaction it would not see what another one has just made.
    let find =
        "SELECT count(*) > 0 FROM pg_catalog.pg_class WHERE relname = 'andon_format' AND pg_table_is_visible(oid)";
    Ok(client.query_typed_one(find, &[])?.get(0))
}

/// Makes the tables, once, whoever else wants to at the same time.
fn create(client: &mut Client) -> Result<(), ::postgres::Error> {
    let mut transaction = client.transaction()?;
    transaction.query_typed("SELECT pg_advisory_xact_lock($1)", &[(&MAKING, Type::INT8)])?;
    if !are_there(&mut transaction)? {
        transaction.batch_execute(TABLES)?;
        transaction.query_typed("INSERT INTO andon_format VALUES ($1)", &[(&VERSION, Type::INT8)])?;
    }
    transaction.commit()
}

/// The rows of one ledger, as a connection or a transaction sees them.
pub(super) struct Tables<'a, C> {
    pub(super) client: &'a mut C,
    pub(super) ledger: i64,
    pub(super) place: &'a str,
}

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

impl<C: GenericClient> Tables<'_, C> {
    /// Asks with the ledger's number as `$1`.
    fn query(&mut self, text: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Found>, StoreError> {
        let ledger = self.ledger;
        let mut all: Vec<Parameter<'_>> = vec![(&ledger, Type::INT8)];
        all.extend(parameters.iter().cloned());
        self.client.query_typed(text, &all).map_err(|error| failed(self.place, &error))
    }

    fn one(&mut self, text: &str) -> Result<Found, StoreError> {
        let gone = || StoreError::Refused { place: self.place.to_owned(), detail: "it was removed".to_owned() };
        let gone = gone();
        self.query(text, &[])?.into_iter().next().ok_or(gone)
    }
}

impl<C: GenericClient> Reads for Tables<'_, C> {
    fn head(&mut self) -> Result<Head, StoreError> {
        let row = self.one("SELECT id, last, key_id, wrapped FROM andon_ledgers WHERE ledger = $1")?;
        Ok(Head { id: row.get(0), last: row.get::<_, i64>(1) as u64, key_id: row.get(2), wrapped: row.get(3) })
    }

    fn rows(&mut self, which: &Rows<'_>) -> Result<Vec<Row>, StoreError> {
        let from = i64::try_from(which.from).unwrap_or(i64::MAX);
        let count = i64::from(which.count);
        let mut parameters: Vec<Parameter<'_>> = vec![(&from, Type::INT8), (&count, Type::INT8)];
        let filter = match (&which.run, &which.environment) {
            (Some(run), _) => {
                parameters.push((run, Type::TEXT));
                "AND run = $4"
            }
            (None, Some(environment)) => {
                parameters.push((environment, Type::TEXT));
                "AND environment = $4"
            }
            (None, None) => "",
        };
        let order = if which.backwards { "DESC" } else { "ASC" };
        let text = format!(
            "SELECT sequence, at, run, environment, event FROM andon_entries
             WHERE ledger = $1 AND sequence >= $2 {filter} ORDER BY sequence {order} LIMIT $3"
        );
        let rows = self.query(&text, &parameters)?;
        let row = |row: Found| Row {
            sequence: row.get::<_, i64>(0) as u64,
            at: row.get(1),
            run: row.get(2),
            environment: row.get(3),
            record: row.get(4),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    fn snapshot(&mut self) -> Result<Option<SnapshotRow>, StoreError> {
        let rows = self.query("SELECT sequence, checksum, state FROM andon_snapshots WHERE ledger = $1", &[])?;
        let snapshot = |row: &Found| SnapshotRow {
            sequence: row.get::<_, i64>(0) as u64,
            checksum: row.get(1),
            state: row.get(2),
        };
        Ok(rows.first().map(snapshot))
    }

    fn locks(&mut self) -> Result<Vec<LockRow>, StoreError> {
        let text = "SELECT environment, id, machine, pid, started, expires, holder FROM andon_locks WHERE ledger = $1";
        let lock = |row: &Found| LockRow {
            environment: row.get(0),
            id: row.get(1),
            machine: row.get(2),
            pid: row.get(3),
            started: row.get(4),
            expires: row.get(5),
            holder: row.get(6),
        };
        Ok(self.query(text, &[])?.iter().map(lock).collect())
    }

    fn now(&mut self) -> Result<i64, StoreError> {
        let text = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint WHERE $1 >= 0";
        Ok(self.one(text)?.get(0))
    }

    fn size(&mut self) -> Result<u64, StoreError> {
        let text = "SELECT coalesce(sum(octet_length(event)), 0)::bigint FROM andon_entries WHERE ledger = $1";
        Ok(self.one(text)?.get::<_, i64>(0) as u64)
    }
}

impl<C: GenericClient> Writes for Tables<'_, C> {
    fn insert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let Some(last) = rows.last().map(|row| row.sequence as i64) else { return Ok(()) };
        let text = "WITH counted AS (UPDATE andon_ledgers SET last = $2 WHERE ledger = $1)
            INSERT INTO andon_entries (ledger, sequence, at, run, environment, event)
            SELECT $1, * FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[])";
        let sequences: Vec<i64> = rows.iter().map(|row| row.sequence as i64).collect();
        let times: Vec<i64> = rows.iter().map(|row| row.at).collect();
        let runs: Vec<&str> = rows.iter().map(|row| &*row.run).collect();
        let environments: Vec<&str> = rows.iter().map(|row| &*row.environment).collect();
        let records: Vec<&[u8]> = rows.iter().map(|row| &*row.record).collect();
        self.query(
            text,
            &[
                (&last, Type::INT8),
                (&sequences, Type::INT8_ARRAY),
                (&times, Type::INT8_ARRAY),
                (&runs, Type::TEXT_ARRAY),
                (&environments, Type::TEXT_ARRAY),
                (&records, Type::BYTEA_ARRAY),
            ],
        )
        .map(drop)
    }

    fn replace_records(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let text = "UPDATE andon_entries AS entry SET event = new.event
            FROM unnest($2::bigint[], $3::bytea[]) AS new (sequence, event)
            WHERE entry.ledger = $1 AND entry.sequence = new.sequence";
        let sequences: Vec<i64> = rows.iter().map(|row| row.sequence as i64).collect();
        let records: Vec<&[u8]> = rows.iter().map(|row| &*row.record).collect();
        self.query(text, &[(&sequences, Type::INT8_ARRAY), (&records, Type::BYTEA_ARRAY)]).map(drop)
    }

    fn put_snapshot(&mut self, snapshot: &SnapshotRow) -> Result<(), StoreError> {
        let text = "INSERT INTO andon_snapshots (ledger, sequence, checksum, state) VALUES ($1, $2, $3, $4)
            ON CONFLICT (ledger) DO UPDATE
            SET sequence = excluded.sequence, checksum = excluded.checksum, state = excluded.state";
        let sequence = snapshot.sequence as i64;
        let parameters: [Parameter<'_>; 3] =
            [(&sequence, Type::INT8), (&snapshot.checksum, Type::BYTEA), (&snapshot.state, Type::BYTEA)];
        self.query(text, &parameters).map(drop)
    }

    fn remove_snapshot(&mut self) -> Result<(), StoreError> {
        self.query("DELETE FROM andon_snapshots WHERE ledger = $1", &[]).map(drop)
    }

    fn put_lock(&mut self, lock: &LockRow) -> Result<(), StoreError> {
        let text = "INSERT INTO andon_locks (ledger, environment, id, machine, pid, started, expires, holder)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (ledger, environment) DO UPDATE
            SET id = excluded.id, machine = excluded.machine, pid = excluded.pid, started = excluded.started,
                expires = excluded.expires, holder = excluded.holder";
        let parameters: [Parameter<'_>; 7] = [
            (&lock.environment, Type::TEXT),
            (&lock.id, Type::TEXT),
            (&lock.machine, Type::TEXT),
            (&lock.pid, Type::INT8),
            (&lock.started, Type::INT8),
            (&lock.expires, Type::INT8),
            (&lock.holder, Type::BYTEA),
        ];
        self.query(text, &parameters).map(drop)
    }

    fn remove_lock(&mut self, id: &str) -> Result<(), StoreError> {
        self.query("DELETE FROM andon_locks WHERE ledger = $1 AND id = $2", &[(&id, Type::TEXT)]).map(drop)
    }

    fn put_key(&mut self, key_id: &[u8], wrapped: &[u8]) -> Result<(), StoreError> {
        let text = "UPDATE andon_ledgers SET key_id = $2, wrapped = $3 WHERE ledger = $1";
        self.query(text, &[(&key_id, Type::BYTEA), (&wrapped, Type::BYTEA)]).map(drop)
    }
}
