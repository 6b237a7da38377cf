//! What a `lab_balancer` looks like to a user.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::{Attribute, Format};
use andon_value::{Type, Value};

use super::spec;
use crate::spec::PLACE;
use crate::spec::format::{DURATION, INTERVAL, LISTEN, PATH, TARGET, text};

/// The attributes that a balancer's process is told; the others are for people.
pub(crate) const SETTINGS: [&str; 22] = [
    "listen",
    "mode",
    "targets",
    "weights",
    "sticky",
    "tls",
    "health",
    "health_status",
    "interval",
    "timeout",
    "rise",
    "fall",
    "wait",
    "drain",
    "idle",
    "answer",
    "connect",
    "header_size",
    "clients",
    "access_log",
    "access_log_format",
    "access_log_size",
];

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an attribute is where the user does not give it.
pub(crate) fn default(attribute: &str) -> Option<Value> {
    match attribute {
        "targets" => Some(Value::list(Type::String, [])),
        "interval" => Some(Value::from("200ms")),
        "wait" => Some(Value::from("30s")),
        "drain" => Some(Value::from("5m")),
        "version" => Some(Value::from(VERSION)),
        _ => None,
    }
}

const MODE: Format = Format {
    name: "what is passed on",
    example: "\"tcp\"",
    check: |it| text(it, |it| spec::Mode::parse(it).map(drop)),
};
const STICKY: Format = Format {
    name: "how a client stays with its target",
    example: "\"cookie\"",
    check: |it| text(it, |it| spec::Sticky::parse(it).map(drop)),
};
const STATUS: Format = Format {
    name: "a status, or a range of them",
    example: "\"200-299\"",
    check: |it| text(it, |it| spec::statuses(it).map(drop)),
};
const WEIGHT: Format =
    Format { name: "weights, from 0 to 1000", example: "{ \"10.64.1.7:80\" = 3 }", check: spec::weight };
const POOL: Format = Format { name: "a pool's id", example: "lab_pool.web.id", check: |it| text(it, spec::pool) };
const PORT: Format = Format { name: "a port", example: "80", check: spec::port };
const TIMES: Format = Format { name: "a number of times, from 1 to 100", example: "2", check: spec::times };
const CLIENTS: Format = Format { name: "a number of clients", example: "10000", check: spec::clients };
const LOG: Format = Format {
    name: "a file, from the root directory",
    example: "\"/var/log/shop/access.log\"",
    check: |it| text(it, |it| spec::log_path(it).map(drop)),
};
const LOG_FORMAT: Format = Format {
    name: "how requests are written down",
    example: "\"json\"",
    check: |it| text(it, |it| spec::AccessFormat::parse(it).map(drop)),
};
const LOG_SIZE: Format = Format {
    name: "an amount of memory, from 64K to 1T",
    example: "\"10M\"",
    check: |it| text(it, |it| spec::log_size(it).map(drop)),
};
const SIZE: Format = Format {
    name: "an amount of memory, from 8K to 1M",
    example: "\"64K\"",
    check: |it| text(it, |it| spec::header_size(it).map(drop)),
};

/// The schema's attributes.
pub(crate) fn attributes() -> Vec<(&'static str, Attribute)> {
    let text = |what: &str| Attribute::optional(Type::String, what);
    let number = |what: &str| Attribute::optional(Type::Number, what);
    let duration = |what: &str| Attribute::optional_computed(Type::String, what);
    vec![
        ("name", text("A name for people; nothing depends on it.")),
        (
            "listen",
            Attribute::required(Type::String, "The address and port of this machine to listen on: `127.0.0.1:8080`.")
                .format(LISTEN)
                .exclusive(PLACE),
        ),
        (
            "mode",
            text(
                "What is passed on: `http` (requests, each to a target of its own; the default) or `tcp` (connections, \
                 whatever is spoken on them). Where it changes, clients that are connected finish what they asked.",
            )
            .format(MODE),
        ),
        (
            "targets",
            Attribute::optional_computed(
                Type::List(Arc::new(Type::String)),
                "The servers to pass requests to, as `address:port`. New ones get requests once all of them are \
                 healthy; those that are gone from the list first finish what they were doing. Default none: every \
                 request is answered with 503.",
            )
            .format(TARGET),
        ),
        (
            "pool",
            text(
                "The `id` of a `lab_pool` whose members are the targets, instead of `targets` and `weights`: the table \
                 follows the pool, and changes as its members do.",
            )
            .format(POOL),
        ),
        ("port", number("The port of the pool's members. Needs `pool`.").format(PORT)),
        (
            "weights",
            Attribute::optional(
                Type::Map(Arc::new(Type::Number)),
                "The share of requests of each target, by its `address:port`: one of weight 3 gets three times the \
                 requests of one of weight 1. One that is not named has 1; one of weight 0 gets only clients that stay \
                 with it. Among targets of the same weight, the one with the fewest open requests is next.",
            )
            .format(WEIGHT),
        ),
        (
            "sticky",
            text(
                "How a client stays with the target that it had first: `cookie` (`http` only: the cookie `andon_target` \
                 names it) or `source` (by the client's IP address). Where that target is not healthy, another takes \
                 over. Default: it does not.",
            )
            .format(STICKY),
        ),
        (
            "tls",
            Attribute {
                sensitive: true,
                ..Attribute::optional(
                    Type::List(Arc::new(pair())),
                    "Certificates: clients then speak TLS (1.2 or 1.3), and in the mode `http` also HTTP/2. Each has a \
                     `certificate` (PEM, with the chain up to but without the root) and its `key` (PEM). A client gets \
                     the first that is valid for the name that it asks for, else the first of all. A change holds for \
                     new connections.",
                )
            },
        ),
        (
            "health",
            text(
                "The path that a healthy target answers with a status below 400. Without it, a target is healthy if it accepts connections.",
            )
            .format(PATH),
        ),
        (
            "health_status",
            text("The statuses of a healthy answer, if they are others: `200`, `200-299`. Needs `health`.").format(STATUS),
        ),
        ("interval", duration("How often health is asked. Default `200ms`.").format(INTERVAL)),
        ("timeout", text("How long a target may take to answer for its health. Default `2s`.").format(INTERVAL)),
        ("rise", number("How many good answers in a row make a target healthy. Default 1.").format(TIMES)),
        ("fall", number("How many bad answers in a row make it not healthy. Default 2.").format(TIMES)),
        ("wait", duration("How long to wait for new targets to become healthy. Default `30s`.").format(DURATION)),
        (
            "drain",
            duration(
                "How long requests and downloads of a target that leaves may go on before they are cut. Default `5m`.",
            )
            .format(DURATION),
        ),
        (
            "idle",
            text(
                "How long a client may take over the header of a request, or stay connected without sending one; in the mode \
                 `tcp`, how long neither side may send anything. Default `75s`, in the mode `tcp` `1h`. After a switch to \
                 another protocol, such as WebSocket, neither side may be silent for longer than `1h`, or than this where it \
                 is longer.",
            )
            .format(INTERVAL),
        ),
        (
            "answer",
            text(
                "How long a target may take to begin its answer or to go on with it, or either side to take what it is sent. Default `5m`.",
            )
            .format(INTERVAL),
        ),
        ("connect", text("How long a target may take to accept a connection. Default `1s`.").format(INTERVAL)),
        ("header_size", text("The most that the header of a request or an answer may be. Default `64K`.").format(SIZE)),
        (
            "clients",
            number(
                "The most clients that are connected at once; those that come then wait until one leaves. Default: a third \
                 of the files that one process may have open.",
            )
            .format(CLIENTS),
        ),
        (
            "access_log",
            text(
                "A file of this machine to which each request is written once it has been answered. Its directory must be \
                 there. Nobody waits for the disk: what it cannot keep up with is counted and left out. It stays when the \
                 balancer is removed. Default: requests are not written down.",
            )
            .format(LOG),
        ),
        (
            "access_log_format",
            text(
                "How a request is written: `combined` (a line such as those of Apache and nginx; the default) or `json` (an \
                 object in each line, with the target, the host and how long it took, too). Needs `access_log`.",
            )
            .format(LOG_FORMAT),
        ),
        (
            "access_log_size",
            text(
                "How large the file may become; then it is put aside with `.1` behind its name, in place of the one that was \
                 before. Default `10M`. Needs `access_log`.",
            )
            .format(LOG_SIZE),
        ),
        (
            "running",
            Attribute::computed(Type::Bool, "Whether its process runs. One that does not is started by the next apply."),
        ),
        (
            "version",
            Attribute::computed(
                Type::String,
                "The version of Andon that its process is of. The next apply has one of another version give way to a new \
                 process: that gets the clients from then on, and the old one finishes what was begun, for as long as \
                 `drain` at most.",
            ),
        ),
        ("id", Attribute::computed(Type::String, "The balancer's identity.")),
    ]
}

fn pair() -> Type {
    let attributes: BTreeMap<Arc<str>, Type> =
        ["certificate", "key"].into_iter().map(|name| (name.into(), Type::String)).collect();
    Type::Object { attributes: Arc::new(attributes), optional: Arc::new(BTreeSet::new()) }
}
