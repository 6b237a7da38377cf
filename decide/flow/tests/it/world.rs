//! A world in which servers are made, answer, fail and end as a test wants it.

use std::collections::{BTreeMap, BTreeSet};

use andon_flow::{Command, Done, End, Goal, Pool, Seen, Strategy};

/// What servers of a version do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    Good,
    /// They cannot be made.
    Unmakable,
    /// They never become healthy.
    Ill,
    /// They are healthy and answer every request with an error.
    Wrong,
    /// They end a while after they have become healthy.
    Mortal,
}

#[derive(Debug, Clone, Copy)]
struct Server {
    nature: Nature,
    made_ms: u64,
    requests: u64,
    errors: u64,
    gone: bool,
}

pub struct World {
    pub now_ms: u64,
    pub natures: BTreeMap<String, Nature>,
    servers: BTreeMap<u64, Server>,
    pub table: BTreeMap<u64, u32>,
    /// The pool as it is written down.
    pub pool: Pool,
    /// The driver is ended at these numbers of steps.
    pub kills: BTreeSet<usize>,
    /// It is also ended after what is logged like this, one after another.
    pub kill_after: Vec<&'static str>,
    steps: usize,
    /// The fewest healthy servers that got requests at any time since this was reset.
    pub fewest: usize,
    pub most: usize,
    /// What was done, for cases.
    pub log: Vec<String>,
    refused: u32,
    stubborn: u32,
}

const BOOT_MS: u64 = 250;
const MORTAL_MS: u64 = 700;
const PATIENCE: usize = 2000;

pub fn goal(size: usize, version: &str, strategy: Strategy) -> Goal {
    Goal {
        size,
        version: version.to_owned(),
        strategy,
        healthy_for_ms: 1000,
        limit_ms: 5000,
        tolerance: 10,
        deaths: 3,
        window_ms: 600_000,
    }
}

impl World {
    pub fn new(first: Goal) -> World {
        World {
            now_ms: 1_000_000,
            natures: BTreeMap::new(),
            servers: BTreeMap::new(),
            table: BTreeMap::new(),
            pool: Pool::new(first),
            kills: BTreeSet::new(),
            kill_after: Vec::new(),
            steps: 0,
            fewest: usize::MAX,
            most: 0,
            log: Vec::new(),
            refused: 0,
            stubborn: 0,
        }
    }

    /// Lets a share fail so many times.
    pub fn refuse_shares(&mut self, times: u32) {
        self.refused = times;
    }

    /// Lets a removal fail so many times.
    pub fn refuse_removals(&mut self, times: u32) {
        self.stubborn = times;
    }

    /// Servers that are there, whether or not the pool knows of them.
    pub fn there(&self) -> usize {
        self.servers.len()
    }

    /// A server ends by itself.
    pub fn end(&mut self, serial: u64) {
        self.servers.get_mut(&serial).unwrap().gone = true;
    }

    /// How many have ended, where the next driver would find that too many have.
    pub fn would_give_up(&self) -> Option<usize> {
        let seen = self.servers.keys().map(|serial| (*serial, self.seen_one(*serial))).collect();
        self.pool.would_give_up(self.now_ms, &seen)
    }

    /// Commands that were given so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Members that get requests and can answer.
    pub fn serving(&self) -> usize {
        self.table.iter().filter(|(serial, weight)| **weight > 0 && self.seen_one(**serial).healthy).count()
    }

    pub fn versions(&self) -> Vec<&str> {
        self.pool.members().values().map(|member| member.version.as_str()).collect()
    }

    fn seen_one(&self, serial: u64) -> Seen {
        let Some(server) = self.servers.get(&serial) else { return Seen::default() };
        let age = self.now_ms - server.made_ms;
        let dead = server.gone || (server.nature == Nature::Mortal && age > MORTAL_MS);
        let alive = !dead;
        let healthy = alive && server.nature != Nature::Ill && age >= BOOT_MS;
        Seen { alive, ended_ms: None, healthy, requests: server.requests, errors: server.errors }
    }

    fn pass(&mut self, millis: u64) {
        self.now_ms += millis;
        let total: u64 = self.table.values().map(|weight| u64::from(*weight)).sum();
        for (serial, weight) in &self.table {
            if let Some(server) = self.servers.get_mut(serial) {
                let requests = 10 * millis * u64::from(*weight) / total.max(1);
                server.requests += requests;
                server.errors += if server.nature == Nature::Wrong { requests } else { 0 };
            }
        }
        self.fewest = self.fewest.min(self.serving());
        let there = self.servers.keys().filter(|serial| self.seen_one(**serial).alive).count();
        self.most = self.most.max(there);
    }

    /// Written down and read again, as by another run.
    fn write(&mut self, pool: Pool) {
        self.pool = Pool::from_json(&pool.to_json()).expect("what was written is read");
        assert_eq!(self.pool, pool);
    }

    /// Drives until it ends, as many drivers as that takes.
    pub fn drive(&mut self, goal: Goal) -> End {
        let mut goals = [goal].into_iter();
        self.drive_on(&mut goals).0
    }

    /// Drives until it ends. The driver that follows one that was ended aims at the next goal, where there is one. Gives the
    /// goal at which it ended, too.
    pub fn drive_on(&mut self, goals: &mut dyn Iterator<Item = Goal>) -> (End, Goal) {
        let mut goal = goals.next().unwrap();
        let mut pool = self.pool.clone().aim(goal.clone());
        let mut patience = PATIENCE;
        loop {
            let seen: BTreeMap<u64, Seen> =
                self.servers.keys().map(|serial| (*serial, self.seen_one(*serial))).collect();
            let (next, commands) = pool.tick(self.now_ms, &seen);
            pool = next;
            self.write(pool.clone());
            assert!(!commands.is_empty());
            for command in commands {
                patience -= 1;
                assert!(patience > 0, "no end: {pool:?}");
                self.steps += 1;
                // Before the command, or after it and before what came of it is written down.
                let killed_before = self.kills.contains(&(2 * self.steps));
                let killed_after = self.kills.contains(&(2 * self.steps + 1));
                if let Command::Finish(end) = command {
                    self.log.push(format!("{end:?}"));
                    return (end, goal);
                }
                if killed_before {
                    goal = goals.next().unwrap_or(goal);
                    pool = self.pool.clone().aim(goal.clone());
                    break;
                }
                let done = self.act(&pool, command);
                let last = self.log.last().map(String::as_str).unwrap_or_default();
                let is_awaited = self.kill_after.first().is_some_and(|start| last.starts_with(start));
                if is_awaited {
                    self.kill_after.remove(0);
                }
                if killed_after || is_awaited {
                    goal = goals.next().unwrap_or(goal);
                    pool = self.pool.clone().aim(goal.clone());
                    break;
                }
                pool = done.into_iter().fold(pool, Pool::done);
                self.write(pool.clone());
            }
        }
    }

    fn act(&mut self, pool: &Pool, command: Command) -> Option<Done> {
        let done = match command {
            Command::Make(serial) => {
                let member = &pool.members()[&serial];
                let nature = self.natures.get(&member.version).copied().unwrap_or(Nature::Good);
                self.log.push(format!("make {}-{}", member.version, member.index));
                self.pass(30);
                if nature == Nature::Unmakable && self.stubborn > 0 {
                    self.stubborn -= 1;
                    let server = Server { nature, made_ms: self.now_ms, requests: 0, errors: 0, gone: true };
                    self.servers.insert(serial, server);
                    return Some(Done::Left(serial, "no such image".to_owned()));
                }
                if nature == Nature::Unmakable {
                    return Some(Done::NotMade(serial, "no such image".to_owned()));
                }
                let server = Server { nature, made_ms: self.now_ms, requests: 0, errors: 0, gone: false };
                self.servers.insert(serial, server);
                Some(Done::Made(serial, self.now_ms))
            }
            Command::Share(table) => {
                self.pass(5);
                if self.refused > 0 {
                    self.refused -= 1;
                    return Some(Done::NotShared("no balancer".to_owned()));
                }
                for (serial, weight) in &table {
                    // One that is mortal may have ended since the last look.
                    let mortal = self.servers.get(serial).is_some_and(|server| server.nature == Nature::Mortal);
                    let ready = mortal || self.table.contains_key(serial) || self.seen_one(*serial).healthy;
                    assert!(*weight > 0 && ready, "{serial} is not ready for requests");
                }
                let names = table.iter().map(|(serial, weight)| {
                    let member = &pool.members()[serial];
                    format!("{}-{}:{weight}", member.version, member.index)
                });
                self.log.push(format!("share {}", names.collect::<Vec<_>>().join(" ")));
                self.table.clone_from(&table);
                Some(Done::Shared(table))
            }
            Command::Remove(serial) => {
                assert!(!self.table.contains_key(&serial), "{serial} still gets requests");
                let member = &pool.members()[&serial];
                self.log.push(format!("remove {}-{}", member.version, member.index));
                if self.stubborn > 0 {
                    self.stubborn -= 1;
                    return Some(Done::NotRemoved(serial, "it is held".to_owned()));
                }
                self.servers.remove(&serial);
                self.pass(20);
                Some(Done::Removed(serial))
            }
            Command::Wait(millis) => {
                self.pass(millis.max(1));
                None
            }
            Command::Finish(_) => unreachable!(),
        };
        self.pass(1);
        done
    }

    /// The members are those that are there and get requests, and there are so many of this version.
    pub fn assert_settled(&self, version: &str, size: usize) {
        assert_eq!(self.versions(), vec![version; size], "{:#?}", self.log);
        assert_eq!(self.serving(), size, "{:#?}", self.log);
        assert_eq!(self.table.len(), size);
        assert!(self.servers.keys().eq(self.pool.members().keys()));
        let indices: BTreeSet<usize> = self.pool.members().values().map(|member| member.index).collect();
        assert_eq!(indices.len(), size);
        assert!(self.pool.is_at_rest(), "{:?}", self.pool);
    }
}
