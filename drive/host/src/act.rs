use std::fs::File;
use std::io::Write;
use std::time::Duration;

use andon_schema::host::{Act, Stage};

use crate::account_files;
use crate::accounts::{self, Accounts};
use crate::files::{self, Meta};
use crate::kept::Journal;
use crate::observe::sysctl_path;
use crate::run::must;
use crate::{certificates, commands, fetch, owed, packages, services, unpack};

/// Does acts in their order until one fails: the outcomes of those that were tried. An error is what the tool that
/// failed said.
pub fn act(acts: &[Act], stage: Stage) -> Vec<Result<(), String>> {
    act_while(acts, stage, None, &mut |_| true)
}

/// Where the acts are.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// This comes next.
    Begins(&'a Act),
    /// It waits for something, and says for what.
    Waits(&'a str),
}

/// The same, asking before each act, and when one waits, whether it is wanted still: from the first that is not, none
/// is tried. With a journal, what is replaced or removed is kept, so that it can be put back.
pub fn act_while(
    acts: &[Act],
    stage: Stage,
    mut journal: Option<&mut Journal>,
    wanted: &mut dyn FnMut(Progress) -> bool,
) -> Vec<Result<(), String>> {
    let mut actor = Actor { stage, accounts: None, wanted };
    let mut outcomes = Vec::with_capacity(acts.len());
    for act in acts {
        if !(actor.wanted)(Progress::Begins(act)) {
            break;
        }
        let kept = journal.as_mut().map_or(Ok(()), |journal| journal.before(act));
        let outcome = kept.and_then(|()| actor.act(act));
        let outcome = outcome.and_then(|()| journal.as_mut().map_or(Ok(()), |journal| journal.after(act)));
        let failed = outcome.is_err();
        outcomes.push(outcome);
        if failed {
            break;
        }
    }
    outcomes
}

struct Actor<'a> {
    stage: Stage,
    wanted: &'a mut dyn FnMut(Progress) -> bool,
    /// Read when first needed, and again after anything that may change them.
    accounts: Option<Accounts>,
}

impl Actor<'_> {
    fn act(&mut self, act: &Act) -> Result<(), String> {
        let stage = self.stage;
        match act {
            Act::WriteFile { path, content, mode, owner, group, validate } => {
                let meta = Meta { mode: *mode, owner: owner.as_deref(), group: group.as_deref() };
                let mut fill = |file: &mut File| {
                    file.write_all(&content.0).map_err(|error| format!("{path} could not be written: {error}"))
                };
                files::write(path, &mut fill, &meta, validate.as_deref(), self.accounts(), stage)
            }
            Act::FetchFile { from, path, mode, owner, group, validate } => {
                let meta = Meta { mode: *mode, owner: owner.as_deref(), group: group.as_deref() };
                let mut fill = |file: &mut File| fetch::fetch(from, file);
                files::write(path, &mut fill, &meta, validate.as_deref(), self.accounts(), stage)
            }
            Act::Unpack { from, path, strip, only, except, owner, group, record, key } => {
                let meta = Meta { mode: None, owner: owner.as_deref(), group: group.as_deref() };
                let (uid, gid) = meta.ids(self.accounts())?;
                let choice = unpack::Choice { strip: *strip, only, except };
                unpack::unpack(from, path, &choice, (uid.unwrap_or(0), gid.unwrap_or(0)), record, key)
            }
            Act::SetMeta { path, mode, owner, group } => {
                let meta = Meta { mode: *mode, owner: owner.as_deref(), group: group.as_deref() };
                files::set_meta(path, &meta, self.accounts())
            }
            Act::MakeDirectory { path, mode, owner, group } => {
                let meta = Meta { mode: *mode, owner: owner.as_deref(), group: group.as_deref() };
                files::make_directory(path, &meta, self.accounts())
            }
            Act::MakeLink { path, target } => files::make_link(path, target),
            Act::Remove { path } => files::remove(path),
            Act::ReadUnits => services::read_units(),
            Act::Service { unit, verb } => services::act(unit, *verb, stage),
            // A container may see its kernel settings and not write them, and name itself all the same.
            Act::SetSysctl { key, value } if &**key == "kernel.hostname" => nix::unistd::sethostname(&**value)
                .map_err(|error| format!("the kernel did not take the name {value}: {}", error.desc())),
            Act::SetSysctl { key, value } => std::fs::write(sysctl_path(key), format!("{value}\n"))
                .map_err(|error| format!("the kernel did not take {key} = {value}: {error}")),
            Act::Owe(notices) => owed::owe(notices),
            Act::Settle(notices) => owed::settle(notices),
            Act::Pause { ms } => {
                std::thread::sleep(Duration::from_millis(*ms));
                Ok(())
            }
            Act::MakeCertificate { place, wish } => certificates::make(place, wish, self.accounts()),
            Act::Run { command, .. } => {
                // It may be anything.
                self.accounts = None;
                commands::act(command)
            }
            Act::RepairPackages
            | Act::RefreshPackages
            | Act::InstallPackages(_)
            | Act::RemovePackages(_)
            | Act::HoldPackages { .. } => {
                // A package's scripts may add users.
                self.accounts = None;
                packages::act(act, stage, self.wanted)
            }
            act => {
                self.accounts = None;
                change_accounts(act)
            }
        }
    }

    fn accounts(&mut self) -> &Accounts {
        self.accounts.get_or_insert_with(Accounts::read)
    }
}

fn change_accounts(act: &Act) -> Result<(), String> {
    if account_files::are_edited() {
        return account_files::act(act);
    }
    match act {
        Act::AddGroup { name, gid, system } => accounts::add_group(name, *gid, *system),
        Act::ChangeGroup { name, gid, members } => accounts::change_group(name, *gid, members.as_deref()),
        Act::RemoveGroup(name) => must("groupdel", &[name]),
        Act::AddUser { name, wish, system } => accounts::add_user(name, wish, *system),
        Act::ChangeUser { name, wish } => accounts::change_user(name, wish),
        Act::RemoveUser { name, home: false } => must("userdel", &[name]),
        Act::RemoveUser { name, home: true } => must("userdel", &["--remove", name]),
        other => Err(format!("{other:?} is not an act on accounts")),
    }
}
