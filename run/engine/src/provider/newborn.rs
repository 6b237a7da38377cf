//! A new server: it is tested before it counts as created, and thrown away where it is not what it must be.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use andon_fleet::phoenix::WRITTEN;
use andon_fleet::smoke::{Expected, judge, too_slow, unreached};
use andon_image::Digest;
use andon_lab::{Lab, Made};
use andon_lang::{Recipe, bundle, together};
use andon_reach::{Contact, Target, run_agent};
use andon_schema::units::{parse_bytes, parse_duration};
use andon_schema::{Failure, Identity, OpenPort, Performance, Secrets};
use andon_value::Value;

use crate::agent::{AgentReply, AgentRequest, Task};
use crate::baking::Baker;
use crate::connection;
use crate::errand::{performance_of, standing_of};

/// How long a new server may take until all is as it must be.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for one with a kernel of its own, which is many times slower where it is emulated.
const PATIENCE_WITH_MACHINES: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(50);
/// How many servers are made where they are too slow.
const ATTEMPTS: usize = 3;

/// What becomes of a server that is not what it must be.
pub(super) const THROWN_AWAY: &str = "It was thrown away.";
/// The same of one that was there and did not run before.
pub(super) const STOPPED_AGAIN: &str = "It is stopped again, with its address and without all that it wrote.";

/// What tests new servers.
#[derive(Clone, Copy)]
pub(super) struct Newborns<'a> {
    pub lab: &'a Lab,
    pub baker: &'a Baker,
}

/// Why a new server does not count as created, a sentence each.
pub(super) enum Faults {
    TooSlow(Vec<String>),
    Wrong(Vec<String>),
}

impl Newborns<'_> {
    /// Makes a server that is what its definition says of a new one. One that is too slow is thrown away, and another one is
    /// made. `discarded` says what becomes of one that is not what it must be.
    ///
    /// # Errors
    /// Where none was what it must be, with what could not be removed.
    pub fn raise(
        &self,
        planned: &Value,
        make: &dyn Fn() -> Result<Made, (Failure, Option<Value>)>,
        discard: &dyn Fn() -> Result<(), Failure>,
        discarded: &str,
        say: &dyn Fn(&str),
    ) -> Result<Made, (Failure, Option<Value>)> {
        let demands = Demands::of(planned);
        let name = planned.get_str("name").unwrap_or_default();
        let mut attempt = 1;
        loop {
            let made = make()?;
            let failure = match self.faults(&made.value, &demands) {
                Ok(None) => return Ok(self.as_made(made)),
                Ok(Some(Faults::TooSlow(faults))) if attempt < demands.attempts => {
                    attempt += 1;
                    say(&format!("`{name}` is too slow; making another one ({attempt} of {})", demands.attempts));
                    Failure::new(String::new(), faults.join("\n"))
                }
                Ok(Some(Faults::TooSlow(faults))) => {
                    let summary = format!("no server `{name}` was as fast as it must be, of {attempt} that were made");
                    attempt = 0;
                    Failure::new(summary, faults.join("\n"))
                        .help("Look at what else this machine is doing, or lower what `performance` asks for.")
                }
                Ok(Some(Faults::Wrong(faults))) => {
                    attempt = 0;
                    let help = format!(
                        "{discarded} To have a look at such a server, make it with `smoke_test {{ enabled = false }}`."
                    );
                    Failure::new(format!("the new server `{name}` is not what it must be"), faults.join("\n"))
                        .help(help)
                }
                Err(failure) => {
                    attempt = 0;
                    failure
                }
            };
            if let Err(other) = discard() {
                return Err((failure.help(format!("What was made could not be removed: {other}")), Some(made.value)));
            }
            if attempt == 0 {
                return Err((failure, None));
            }
        }
    }

    /// A server that is what it must be, and new no more if it runs. What cloud-init made of it is what it is from now on
    /// compared with.
    pub fn as_made(&self, made: Made) -> Made {
        let value = &made.value;
        let Some(identity) = value.get_str("id").and_then(Identity::parse).filter(|_| runs(value)) else { return made };
        let mut notes = made.notes;
        // One that stays new is tested again when it is started again.
        notes.extend(self.lab.accept(&identity).err().map(|failure| failure.to_string()));
        let image = value.get_str("image").and_then(Digest::parse).filter(|_| value.get_str("cloud_init").is_some());
        if let Some(image) = image {
            let layers = self.baker.images.lower_dirs(&image);
            let remembered = layers.and_then(|layers| self.lab.remember_files(&identity, &layers, &WRITTEN));
            // It is as good without: then what cloud-init did is told of as drift.
            notes.extend(remembered.err().map(|failure| failure.to_string()));
        }
        Made { value: made.value, notes }
    }

    /// What is wrong with a server that was just made, if anything is.
    ///
    /// # Errors
    /// Where it cannot be reached.
    pub fn faults(&self, server: &Value, demands: &Demands) -> Result<Option<Faults>, Failure> {
        if !runs(server) || !demands.looks_inside() {
            return Ok(None);
        }
        let target = connection::target(server.get("connection").unwrap_or(&Value::NULL), Some(self.lab), false)?;
        let listening = server.get_str("network").filter(|_| demands.measures_network());
        let listening = listening.and_then(|network| self.lab.listen(network));
        let address = server.get_str("address").and_then(|address| address.parse().ok());
        let slow = demands.too_slow(self.lab, &target, &self.baker.helper, listening.zip(address))?;
        if !slow.is_empty() {
            return Ok(Some(Faults::TooSlow(slow)));
        }
        let recipe =
            server.get_str("image").filter(|_| demands.converged).and_then(|image| recipe_of(self.baker, image));
        let around = || {
            let unreached = self.unreached(server, demands);
            if !unreached.is_empty() {
                return Ok(unreached);
            }
            if demands.named && self.lab.is_named(server) == Some(false) {
                return Ok(vec!["Its network's gateway does not answer for its name.".to_owned()]);
            }
            recipe.as_ref().map_or(Ok(Vec::new()), |recipe| would_change(self.baker, recipe, &target))
        };
        let wrong = demands.smoke_test(&target, &self.baker.helper, &around)?;
        Ok(if wrong.is_empty() { None } else { Some(Faults::Wrong(wrong)) })
    }
}

impl Newborns<'_> {
    /// What of a server does not answer this machine, a sentence each.
    fn unreached(&self, server: &Value, demands: &Demands) -> Vec<String> {
        let Some(expected) = demands.expected.as_ref().filter(|_| demands.reachable) else { return Vec::new() };
        let ports = expected.ports.iter().flatten().filter(|port| !port.udp).map(|port| port.number);
        let ports: Vec<u16> = ports.collect();
        let reached = self.lab.reach(server, &ports);
        reached.map_or_else(|| unreached(false, &[]), |reached| unreached(reached.answers, &reached.closed))
    }
}

/// Whether a server is to run.
pub(super) fn runs(server: &Value) -> bool {
    server.get("running").and_then(Value::as_bool) != Some(false)
}

/// What a server's definition says of it as a new one.
pub(super) struct Demands {
    expected: Option<Expected>,
    /// Whether the roles of its image must find nothing to do.
    converged: bool,
    /// Whether its network must answer for its name.
    named: bool,
    /// Whether it must answer this machine.
    reachable: bool,
    patience: Duration,
    floor: Option<Performance>,
    /// How many are made at most.
    attempts: usize,
}

impl Demands {
    /// Of a planned server.
    pub fn of(planned: &Value) -> Demands {
        let block = |name: &str| planned.get(name).filter(|block| !block.is_null());
        let test = block("smoke_test");
        let is = |name: &str| test.and_then(|test| test.get(name)).and_then(Value::as_bool).unwrap_or(true);
        let set = |name: &str| texts(test?.get(name)?);
        let enabled = is("enabled");
        let expected = Expected {
            units: is("units"),
            services: set("services").map(|names| names.into_iter().map(|name| name.as_str().into()).collect()),
            users: set("users").map(|names| names.into_iter().map(|name| name.as_str().into()).collect()),
            ports: set("ports").map(|ports| ports.iter().filter_map(|port| OpenPort::parse(port)).collect()),
        };
        let floor = block("performance").map(|floor| {
            let rate = |name: &str| floor.get_str(name).and_then(parse_bytes);
            Performance { cpu: rate("cpu"), disk: rate("disk"), network: rate("network") }
        });
        let attempts = block("performance").and_then(|floor| floor.get("attempts")?.as_number()?.to_i64());
        let is_machine = planned.get("vm").and_then(Value::as_bool) == Some(true);
        let patience = if is_machine { PATIENCE_WITH_MACHINES } else { PATIENCE };
        Demands {
            expected: enabled.then_some(expected),
            converged: enabled && is("converged"),
            named: enabled && is("named"),
            reachable: enabled && is("reachable"),
            patience: test.and_then(|test| test.get_str("timeout")).and_then(parse_duration).unwrap_or(patience),
            floor,
            attempts: attempts.and_then(|attempts| usize::try_from(attempts).ok()).unwrap_or(ATTEMPTS).max(1),
        }
    }

    /// What is to be seen of it; `None` where nobody looks.
    pub fn expected(&self) -> Option<&Expected> {
        self.expected.as_ref()
    }

    /// Whether it must answer this machine.
    pub fn is_to_answer(&self) -> bool {
        self.reachable
    }

    /// Whether anything is asked at all that takes a look inside.
    fn looks_inside(&self) -> bool {
        self.expected.is_some() || self.floor.is_some()
    }

    /// Whether a server has to send something.
    fn measures_network(&self) -> bool {
        self.floor.as_ref().is_some_and(|floor| floor.network.is_some())
    }

    /// What of a server is slower than it must be, a sentence each. It sends what measures its network to who listens, and
    /// comes from that address.
    ///
    /// # Errors
    /// Where it cannot be reached.
    fn too_slow(
        &self,
        lab: &Lab,
        target: &Target,
        helper: &Path,
        listening: Option<(TcpListener, IpAddr)>,
    ) -> Result<Vec<String>, Failure> {
        let Some(floor) = &self.floor else { return Ok(Vec::new()) };
        let (cpu, disk) = (floor.cpu.is_some(), floor.disk.is_some());
        let _alone = lab.measuring()?;
        let listening = listening.filter(|(listener, _)| listener.set_nonblocking(true).is_ok());
        let network = listening.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        let is_over = &AtomicBool::new(false);
        let measured = match listening {
            Some((listener, server)) => std::thread::scope(|scope| {
                scope.spawn(move || read_all(&listener, server, self.patience, is_over));
                let measured = performance_of(target, helper, cpu, disk, network);
                is_over.store(true, Ordering::Relaxed);
                measured
            }),
            None => performance_of(target, helper, cpu, disk, network),
        };
        Ok(too_slow(floor, &measured?))
    }

    /// What is wrong with a new server once it had its time, a sentence each. `around` tells what else is, that only
    /// others than the server itself know.
    ///
    /// # Errors
    /// Where it cannot be reached.
    pub fn smoke_test(
        &self,
        target: &Target,
        helper: &Path,
        around: &dyn Fn() -> Result<Vec<String>, Failure>,
    ) -> Result<Vec<String>, Failure> {
        let Some(expected) = &self.expected else { return Ok(Vec::new()) };
        let deadline = Instant::now() + self.patience;
        loop {
            let mut wrong = judge(expected, &standing_of(target, helper)?);
            if wrong.is_empty() {
                wrong = around()?;
            }
            if wrong.is_empty() || Instant::now() >= deadline {
                return Ok(wrong);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// How the image of a digest was baked, where it is one of the project's.
fn recipe_of(baker: &Baker, digest: &str) -> Option<Recipe> {
    let digest = Digest::parse(digest)?;
    let prepared = baker.project.images.keys().filter_map(|name| baker.prepare(name).ok());
    let mut own = prepared.filter(|prepared| baker.images.known(&prepared.key).as_ref() == Some(&digest));
    own.next().map(|prepared| prepared.recipe)
}

/// What the roles of an image would still do in a server that was made from it: `file "/etc/motd"`.
///
/// # Errors
/// Where it cannot be reached, or a role cannot be evaluated in it.
fn would_change(baker: &Baker, recipe: &Recipe, target: &Target) -> Result<Vec<String>, Failure> {
    if recipe.roles.is_empty() {
        return Ok(Vec::new());
    }
    let role = together(recipe.roles.iter().map(|role| &**role));
    let params = recipe.roles.iter().filter_map(|role| recipe.params_of(role).as_entries().cloned());
    let params = Value::object(params.flat_map(|entries| (*entries).clone()));
    let request = AgentRequest {
        task: Task::Plan,
        bundle: bundle(&baker.project, [&*role]).encode().into(),
        role: role.clone(),
        params,
        secrets: Secrets::new(),
        run: String::new(),
        part: None,
    };
    let failed = |detail: String| Failure::new(format!("role `{role}` could not be looked at in a new server"), detail);
    let reply = run_agent(target, &baker.helper, &request.encode(), &mut Contact::to_the_end(&mut |_| {}));
    let reply = AgentReply::decode(&reply.map_err(|error| failed(error.to_string()))?).map_err(failed)?;
    Ok(reply.report.differences().map(|(what, _)| format!("Its role would still change {what}.")).collect())
}

fn texts(list: &Value) -> Option<BTreeSet<String>> {
    let elements = list.as_elements()?;
    Some(elements.iter().filter_map(Value::as_str).map(|text| text.to_string()).collect())
}

/// Reads all that a server sends, and answers it with one byte; whoever else comes is not heard. One that never comes is not
/// waited for once it is over.
fn read_all(listener: &TcpListener, server: IpAddr, patience: Duration, is_over: &AtomicBool) {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline && !is_over.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((_, from)) if from.ip() != server => {}
            Ok((mut stream, _)) => {
                let limit = Some(Duration::from_secs(20));
                let set = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(limit));
                if set.is_ok() && io::copy(&mut stream, &mut io::sink()).is_ok() {
                    let _ = stream.write_all(&[1]);
                }
                return;
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpStream};

    use super::*;

    #[test]
    fn only_the_server_itself_is_heard() {
        let Some(listener) = TcpListener::bind("[::]:0").ok().filter(|_| TcpListener::bind("[::1]:0").is_ok()) else {
            println!("skipped: there is no IPv6");
            return;
        };
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let Ok(_stranger) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
            println!("skipped: IPv6 is apart from IPv4");
            return;
        };
        let reader = std::thread::spawn(move || {
            read_all(&listener, Ipv6Addr::LOCALHOST.into(), PATIENCE, &AtomicBool::new(false))
        });
        let mut server = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        server.write_all(b"measured").unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, [1]);
        reader.join().unwrap();
    }
}
