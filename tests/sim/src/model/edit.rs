//! Changes that people make to definitions, by chance. Each leaves a model that stands.

use andon_schema::ResourceAddress;

use super::generate::{keys, repeat};
use super::{Block, Model, Pick, Repeat, Term};
use crate::dice::Dice;
use crate::kinds::{BALANCER, DATA, DISK, HOST, NETWORK, SERVER};

impl Model {
    /// One change, in words; empty where the dice found nothing to change.
    pub fn edit(&mut self, dice: &mut Dice) -> String {
        let words = match dice.below(14) {
            0..=3 => self.change_argument(dice),
            4 | 5 => self.change_repeat(dice),
            6 => self.remove_one(dice),
            7 => self.rename(dice),
            8 => self.point_elsewhere(dice),
            9 => self.toggle(dice),
            10 => self.release(dice),
            11 => self.protect(dice),
            _ => self.add_one(dice),
        };
        self.align();
        words.unwrap_or_default()
    }

    fn choose(&self, dice: &mut Dice, accept: impl Fn(&Block) -> bool) -> Option<usize> {
        let found: Vec<usize> = (0..self.blocks.len()).filter(|at| self.blocks.get(*at).is_some_and(&accept)).collect();
        dice.pick(&found).copied()
    }

    fn is_used(&self, name: &str) -> bool {
        self.blocks.iter().any(|block| block.uses().contains(&name))
    }

    fn change_argument(&mut self, dice: &mut Dice) -> Option<String> {
        let at = self.choose(dice, |_| true)?;
        let block = self.blocks.get(at)?.clone();
        let (argument, term) = dice.pick(&block.arguments)?.clone();
        let new = match term {
            Term::Text(_) => Term::Text(self.fresh("text")),
            Term::PerInstance(_) => Term::PerInstance(self.fresh("text")),
            Term::Number(_) => Term::Number(dice.between(65, 99) as i64),
            // What is read by others must stay what they can read.
            _ if block.kind == DATA && !self.is_used(&block.name) => self.input(&block, dice),
            _ => return None,
        };
        let new = if block.kind == DATA
            && argument == "input"
            && self.is_used(&block.name)
            && !matches!(new, Term::Text(_))
        {
            return None;
        } else {
            new
        };
        *self.blocks.get_mut(at)?.argument_mut(argument)? = new;
        Some(format!("change {argument} of {}", block.name))
    }

    fn change_repeat(&mut self, dice: &mut Dice) -> Option<String> {
        let at = self.choose(dice, |block| !matches!(block.kind, DISK | HOST | BALANCER))?;
        let name = self.blocks.get(at)?.name.clone();
        let needed = self.blocks.iter().any(|block| {
            block.arguments.iter().any(|(_, term)| term.references().iter().any(|reference| reference.block == name))
        });
        let least = usize::from(needed);
        let block = self.blocks.get_mut(at)?;
        block.repeat = match &block.repeat {
            Repeat::Count(_) if dice.chance(80) => Repeat::Count(dice.between(least, 4) as u64),
            Repeat::Each(_) if dice.chance(80) => Repeat::Each(keys(dice)),
            _ => repeat(dice),
        };
        Some(format!("{name} is now {:?}", block.repeat))
    }

    fn remove_one(&mut self, dice: &mut Dice) -> Option<String> {
        let at = self.choose(dice, |_| true)?;
        let name = self.blocks.get(at)?.name.clone();
        self.remove(&name);
        Some(format!("remove {name}"))
    }

    /// Removes a block, and those that cannot be without it.
    fn remove(&mut self, name: &str) {
        self.imports.retain(|(address, _)| *address.resource.name != *name);
        self.blocks.retain(|block| block.name != name);
        let mut orphans = Vec::new();
        for block in &mut self.blocks {
            block.depends_on.retain(|other| other != name);
            block.triggered_by.take_if(|other| other == name);
            for (argument, term) in &mut block.arguments {
                match term {
                    Term::All(blocks, _) => blocks.retain(|other| other != name),
                    term if !term.blocks().contains(&name) => {}
                    _ if matches!(*argument, "network" | "server") => orphans.push(block.name.clone()),
                    Term::Label(inner) => **inner = Term::Text("nothing".to_owned()),
                    term => *term = Term::Text("nothing".to_owned()),
                }
            }
        }
        orphans.iter().for_each(|orphan| self.remove(orphan));
    }

    /// Removes a block and says that what it made is to stay as it is.
    fn release(&mut self, dice: &mut Dice) -> Option<String> {
        let at = self.choose(dice, |block| block.kind != HOST && !self.is_used(&block.name))?;
        let block = self.blocks.get(at)?.clone();
        self.released.push(self.resource(&block));
        self.remove(&block.name);
        Some(format!("release {}", block.name))
    }

    fn protect(&mut self, dice: &mut Dice) -> Option<String> {
        let at = self.choose(dice, |_| true)?;
        let block = self.blocks.get_mut(at)?;
        block.protected = !block.protected;
        Some(format!("{} has prevent_destroy {}", block.name, block.protected))
    }

    fn rename(&mut self, dice: &mut Dice) -> Option<String> {
        let at = self.choose(dice, |_| true)?;
        let before = self.resource(self.blocks.get(at)?);
        let old = before.name.to_string();
        let new = self.fresh("renamed");
        let port = self.fresh("port");
        let moved = dice.chance(60);
        let swap = |name: &mut String| {
            if *name == old {
                name.clone_from(&new);
            }
        };
        for block in &mut self.blocks {
            // The new one and the old one may be there at the same time.
            if block.name == old
                && block.kind == BALANCER
                && !moved
                && let Some(listen) = block.argument_mut("listen")
            {
                *listen = Term::Text(port.clone());
            }
            swap(&mut block.name);
            block.depends_on.iter_mut().for_each(swap);
            block.triggered_by.iter_mut().for_each(swap);
            for (_, term) in &mut block.arguments {
                if let Term::All(blocks, _) = term {
                    blocks.iter_mut().for_each(swap);
                }
                term.references_mut().into_iter().for_each(|reference| swap(&mut reference.block));
            }
        }
        self.imports.retain(|(address, _)| address.resource != before);
        if !moved {
            return Some(format!("rename {old} to {new}"));
        }
        let after = ResourceAddress { name: new.as_str().into(), ..before.clone() };
        self.moved.push((before, after));
        Some(format!("rename {old} to {new}, which is the same"))
    }

    fn point_elsewhere(&mut self, dice: &mut Dice) -> Option<String> {
        let at = self.choose(dice, |block| matches!(block.kind, SERVER | BALANCER))?;
        let block = self.blocks.get(at)?.clone();
        let wanted = if block.kind == SERVER { NETWORK } else { SERVER };
        let target = self.some(&[wanted], dice)?;
        let before = self.blocks.iter().position(|other| other.name == target.name)?;
        if before > at || target.home.stack > block.home.stack {
            return None;
        }
        let words = format!("point {} to {}", block.name, target.name);
        if block.kind == SERVER {
            let reference = self.refer(&target, "id", &block, dice);
            *self.blocks.get_mut(at)?.argument_mut("network")? = Term::One(reference);
        } else {
            let mut targets = self.targets(&block, target, dice);
            targets.retain(|name| self.blocks.iter().take(at).any(|other| other.name == *name));
            *self.blocks.get_mut(at)?.argument_mut("targets")? = Term::All(targets, "address");
        }
        Some(words)
    }

    fn toggle(&mut self, dice: &mut Dice) -> Option<String> {
        let balanced =
            |name: &str| self.blocks.iter().any(|block| block.kind == BALANCER && block.uses().contains(&name));
        let at = self.choose(dice, |block| matches!(block.kind, SERVER | NETWORK | DISK) && !balanced(&block.name))?;
        let block = self.blocks.get_mut(at)?;
        block.create_before_destroy = !block.create_before_destroy;
        Some(format!("{} has create_before_destroy {}", block.name, block.create_before_destroy))
    }

    fn add_one(&mut self, dice: &mut Dice) -> Option<String> {
        let kind = *dice.pick(&[NETWORK, SERVER, SERVER, DISK, HOST, BALANCER, DATA, DATA])?;
        self.add(kind, dice);
        Some(format!("add a {kind}"))
    }

    /// Puts right what a change elsewhere has made wrong.
    fn align(&mut self) {
        let mut imports = std::mem::take(&mut self.imports);
        imports.retain(|(address, _)| self.defines(address));
        self.imports = imports;
        for at in 0..self.blocks.len() {
            let Some(mut block) = self.blocks.get(at).cloned() else { continue };
            if matches!(block.kind, DISK | HOST)
                && let Some(server) = block.argument("server").and_then(|term| term.blocks().first().copied())
                && let Some(server) = self.block(server)
            {
                block.repeat = server.repeat.clone();
            }
            let repeat = block.repeat.clone();
            let follows = matches!(block.kind, DISK | HOST);
            for (argument, term) in &mut block.arguments {
                for reference in term.references_mut() {
                    let target = self.blocks.iter().find(|other| other.name == reference.block);
                    if target.is_some_and(|target| target.repeat != repeat) && !(follows && *argument == "server") {
                        reference.pick = Pick::First;
                    }
                }
            }
            if let Some(place) = self.blocks.get_mut(at) {
                *place = block;
            }
        }
    }
}
