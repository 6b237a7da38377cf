//! The address of a database: `postgres://user@host:port/name?option=value`, as PostgreSQL's own programs take it.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use ::postgres::Config;
use ::postgres::config::{Host, SslMode, SslNegotiation};
use percent_encoding::percent_decode_str;

use super::Database;
use super::tls::{Files, Security, Verify};
use crate::StoreError;

/// How long one address is tried.
const CONNECT: Duration = Duration::from_secs(10);

impl Database {
    /// Whether a text is the address of a database, and no path.
    pub fn is_address(text: &str) -> bool {
        ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
    }

    /// Reads an address. The ledger's name in the database is the project's, or `project` of the address. Where the
    /// project's definitions do not name it (`declared`), and so it is named after its directory, `origin` says which
    /// directory on which machine that is: another one of the same name is not taken for it.
    ///
    /// Where the address has no password, `PGPASSWORD` or the user's password file gives it.
    pub fn new(address: &str, project: &str, origin: &str, declared: bool) -> Result<Database, StoreError> {
        let wrong = |detail: String| StoreError::Address { detail };
        if !Database::is_address(address) {
            return Err(wrong("it does not begin with `postgres://`".to_owned()));
        }
        let Own { rest, mode, files, project: named } = Own::take(address).map_err(wrong)?;
        let mut config: Config = rest.parse().map_err(|error| wrong(super::sources(&error)))?;
        let verify = mode.verify(files.root.is_some());
        let local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        // As in PostgreSQL's own programs: what never leaves the machine needs no encryption.
        config.ssl_mode(if local { SslMode::Disable } else { mode.of_connection() });
        let direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
        let security = Security::new(verify, &files, direct).map_err(wrong)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(30));
        }
        if config.get_application_name().is_none() {
            config.application_name("andon");
        }
        config.keepalives_idle(Duration::from_secs(15));
        if config.get_hosts().is_empty() {
            return Err(wrong("it names no host".to_owned()));
        }
        let place = place(&config);
        if config.get_password().is_none()
            && let Some(password) = password(&config)
        {
            config.password(password);
        }
        Ok(Database {
            config: Box::new(config),
            security,
            place,
            declared: declared || named.is_some(),
            project: named.unwrap_or_else(|| project.to_owned()),
            origin: origin.to_owned(),
        })
    }
}

/// The options of an address that are read here.
struct Own {
    /// The address without them.
    rest: String,
    mode: Mode,
    files: Files,
    project: Option<String>,
}

/// `sslmode`.
#[derive(Clone, Copy)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyAuthority,
    VerifyFull,
}

impl Own {
    fn take(address: &str) -> Result<Own, String> {
        let (base, query) = address.split_once('?').unwrap_or((address, ""));
        let mut own = Own { rest: base.to_owned(), mode: Mode::Prefer, files: Files::default(), project: None };
        let (mut certificate, mut key) = (None, None);
        let mut rest = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| format!("`{name}` is not Unicode text"))?
                .into_owned();
            match name {
                "project" if value.is_empty() => return Err("`project` is empty".to_owned()),
                "project" => own.project = Some(value),
                "sslmode" => own.mode = Mode::read(&value)?,
                "sslrootcert" => own.files.root = (value != "system").then(|| PathBuf::from(value)),
                "sslcert" => certificate = Some(PathBuf::from(value)),
                "sslkey" => key = Some(PathBuf::from(value)),
                _ => rest.push(option),
            }
        }
        own.files.own = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("`sslcert` and `sslkey` go together".to_owned()),
        };
        if !rest.is_empty() {
            own.rest = format!("{base}?{}", rest.join("&"));
        }
        Ok(own)
    }
}

impl Mode {
    fn read(text: &str) -> Result<Mode, String> {
        match text {
            "disable" => Ok(Mode::Disable),
            "allow" | "prefer" => Ok(Mode::Prefer),
            "require" => Ok(Mode::Require),
            "verify-ca" => Ok(Mode::VerifyAuthority),
            "verify-full" => Ok(Mode::VerifyFull),
            _ => Err(format!(
                "`sslmode` is `{text}`, and can be `disable`, `prefer`, `require`, `verify-ca` or `verify-full`"
            )),
        }
    }

    fn of_connection(self) -> SslMode {
        match self {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyAuthority | Mode::VerifyFull => SslMode::Require,
        }
    }

    fn verify(self, with_root: bool) -> Verify {
        match self {
            Mode::VerifyFull => Verify::Name,
            Mode::VerifyAuthority => Verify::Authority,
            // Who names authorities wants them asked.
            Mode::Require if with_root => Verify::Authority,
            Mode::Disable | Mode::Prefer | Mode::Require => Verify::Nothing,
        }
    }
}

/// The address for people, without its password.
fn place(config: &Config) -> String {
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let (host, port) = first(config);
    let port = if port == 5432 { String::new() } else { format!(":{port}") };
    format!("postgres://{user}{host}{port}/{}", config.get_dbname().unwrap_or_default())
}

fn first(config: &Config) -> (String, u16) {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    (host, config.get_ports().first().copied().unwrap_or(5432))
}

fn password(config: &Config) -> Option<String> {
    let given = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
    if let Some(password) = given("PGPASSWORD") {
        return Some(password);
    }
    let file = given("PGPASSFILE").or_else(|| Some(format!("{}/.pgpass", given("HOME")?)))?;
    let (host, port) = first(config);
    let user = config.get_user()?;
    let wanted = [&*host, &*port.to_string(), config.get_dbname().unwrap_or(user), user];
    in_password_file(&fs::read_to_string(Path::new(&file)).ok()?, &wanted)
}

/// The password of the first line that fits: `host:port:database:user:password`, where `*` is anything and `\` keeps the
/// next character as it is.
fn in_password_file(text: &str, wanted: &[&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = vec![String::new()];
        let mut characters = line.chars();
        while let Some(character) = characters.next() {
            let more = fields.len() < 5;
            match (character, fields.last_mut()) {
                (':', _) if more => fields.push(String::new()),
                ('\\', Some(field)) => field.extend(characters.next()),
                (character, Some(field)) => field.push(character),
                (_, None) => {}
            }
        }
        let password = fields.get(4)?.clone();
        let fits = fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        fits.then_some(password)
    })
}

#[cfg(test)]
mod tests {
    use super::{Database, in_password_file};

    #[test]
    fn addresses_are_shown_without_their_secrets() {
        let check = |address: &str, expected: &str| {
            let database = Database::new(address, "shop", "/srv/shop", false).map(|it| it.to_string());
            assert_eq!(database.map_err(|error| error.to_string()), Ok(expected.to_owned()), "{address}");
        };
        check("postgres://ann:s3cret@db.test/ledger", "postgres://ann@db.test/ledger of project shop");
        check("postgresql://ann@db.test:5433/l?project=a%20b", "postgres://ann@db.test:5433/l of project a b");
        check("postgres:///l?host=/run/pg&user=ann&sslmode=verify-full", "postgres://ann@/run/pg/l of project shop");
        check("postgres://ann@%2Frun%2Fpg/l", "postgres://ann@/run/pg/l of project shop");
    }

    #[test]
    fn wrong_addresses_say_what_is_wrong() {
        let check = |address: &str, expected: &str| {
            let error = Database::new(address, "shop", "/srv/shop", false).err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(error.contains(expected) && !error.contains("s3cret"), "{address}: {error}");
        };
        check("mysql://ann:s3cret@db.test/l", "does not begin with `postgres://`");
        check("postgres://ann:s3cret@db.test/l?sslmode=maybe", "can be `disable`");
        check("postgres://ann:s3cret@db.test/l?sslcert=/a", "go together");
        check("postgres://ann:s3cret@db.test/l?colour=red", "colour");
        check("postgres://ann:s3cret@db.test/l?sslmode=verify-full&sslrootcert=/nowhere", "/nowhere");
        check("postgres://ann:s3cret@db.test:many/l", "port");
        check("postgres:///l", "names no host");
        check("postgres://db.test/l?project=", "`project` is empty");
    }

    #[test]
    fn the_password_file_is_read_as_elsewhere() {
        let file = "# passwords\nother:*:*:*:no\ndb:5432:*:ann:it\\:is\\\\:this\ndb:*:*:*:late";
        let password = |wanted: [&str; 4]| in_password_file(file, &wanted);
        assert_eq!(password(["db", "5432", "l", "ann"]).as_deref(), Some("it:is\\:this"));
        assert_eq!(password(["db", "5433", "l", "ann"]).as_deref(), Some("late"));
        assert_eq!(password(["else", "5432", "l", "ann"]), None);
    }
}
