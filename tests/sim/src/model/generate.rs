//! Models by chance.

use super::{Block, Home, Model, Pick, Reference, Repeat, Term};
use crate::dice::Dice;
use crate::kinds::{BALANCER, DATA, DISK, HOST, NETWORK, SERVER};

const STACKS: [&str; 3] = ["core", "fleet", "front"];
const MODULES: [&str; 2] = ["left", "right"];
const KEYS: [&str; 4] = ["a", "b", "c", "d.x"];

impl Model {
    /// A project with something of everything, more or less.
    pub fn generate(dice: &mut Dice) -> Model {
        let stacks = dice.between(1, STACKS.len());
        let mut model =
            Model { stacks: STACKS.iter().take(stacks).map(|name| (*name).into()).collect(), ..Model::default() };
        model.plugged = dice.chance(65);
        let parts = [
            (NETWORK, dice.between(1, 2)),
            (DATA, dice.between(0, 1)),
            (SERVER, dice.between(1, 3)),
            (DISK, dice.between(0, 1)),
            (HOST, dice.between(0, 2)),
            (BALANCER, dice.between(0, 2)),
            (DATA, dice.between(0, 3)),
        ];
        for (kind, times) in parts {
            for _ in 0..times {
                model.add(kind, dice);
            }
        }
        model
    }

    /// Adds a block of a kind, where there is what it needs.
    pub fn add(&mut self, kind: &'static str, dice: &mut Dice) {
        let name = self.fresh(kind.split_once('_').map_or(kind, |(_, name)| name));
        let home = self.home(0, dice);
        let mut block = Block {
            kind,
            home,
            repeat: repeat(dice),
            create_before_destroy: dice.chance(20),
            arguments: Vec::new(),
            depends_on: Vec::new(),
            ignored: None,
            triggered_by: None,
            checked: dice.chance(15) && kind != HOST,
            protected: dice.chance(4),
            name,
        };
        let made = match kind {
            NETWORK => self.network(&mut block, dice),
            SERVER => self.server(&mut block, dice),
            DISK => self.follower(&mut block, "server", dice),
            HOST => self.follower(&mut block, "server", dice),
            BALANCER => self.balancer(&mut block, dice),
            _ => self.data(&mut block, dice),
        };
        if made.is_none() {
            return;
        }
        let candidates: Vec<&Block> = self.blocks.iter().filter(|other| other.home == block.home).collect();
        if dice.chance(15)
            && let Some(other) = dice.pick(&candidates)
            && self.is_bearable(other, &block)
        {
            block.depends_on.push(other.name.clone());
        }
        if kind == DATA
            && dice.chance(15)
            && let Some(other) = dice.pick(&candidates)
        {
            block.triggered_by = Some(other.name.clone());
        }
        self.blocks.push(block);
    }

    fn home(&self, earliest: usize, dice: &mut Dice) -> Home {
        let stack = dice.between(earliest, self.stacks.len().saturating_sub(1));
        let module = if dice.chance(25) { dice.pick(&MODULES).copied() } else { None };
        Home { stack, module }
    }

    fn network(&mut self, block: &mut Block, dice: &mut Dice) -> Option<()> {
        let title = self.fresh("net");
        block.arguments.push(("name", Term::PerInstance(title)));
        if dice.chance(60) {
            block.arguments.push(("cidr", Term::PerInstance(self.fresh("10.0."))));
        }
        Some(())
    }

    fn server(&mut self, block: &mut Block, dice: &mut Dice) -> Option<()> {
        let network = self.some(&[NETWORK], dice)?;
        block.home = self.home(network.home.stack, dice);
        let reference = self.refer(&network, "id", block, dice);
        block.arguments = vec![
            ("name", Term::PerInstance(self.fresh("srv"))),
            ("image", Term::Text(self.fresh("image"))),
            ("network", Term::One(reference)),
        ];
        if dice.chance(60) {
            block.arguments.push(("memory", Term::Number(dice.between(1, 64) as i64)));
        }
        if dice.chance(40) {
            let label = if dice.chance(50) {
                Term::Zone(Reference { attribute: "id", pick: Pick::First, ..self.refer(&network, "id", block, dice) })
            } else {
                self.input(block, dice)
            };
            block.arguments.push(("labels", Term::Label(Box::new(label))));
        }
        if dice.chance(15) {
            block.ignored = block.argument("memory").map(|_| "memory");
        }
        block.create_before_destroy = dice.chance(50);
        Some(())
    }

    /// A disk or a host: one for each instance of a server.
    fn follower(&mut self, block: &mut Block, argument: &'static str, dice: &mut Dice) -> Option<()> {
        let server = self.some(&[SERVER], dice)?;
        if block.kind == HOST
            && self.blocks.iter().any(|other| other.kind == HOST && other.uses().contains(&&*server.name))
        {
            return None;
        }
        block.home = self.home(server.home.stack, dice);
        block.repeat = server.repeat.clone();
        let reference = Reference { pick: Pick::Same, ..self.refer(&server, "id", block, dice) };
        block.arguments = vec![(argument, Term::One(reference))];
        if block.kind == DISK {
            block.arguments.push(("size", Term::Number(dice.between(1, 64) as i64)));
            block.create_before_destroy = dice.chance(10);
        } else {
            block.arguments.push(("role", Term::Text("web".to_owned())));
            if dice.chance(70) {
                let params = if dice.chance(40) { self.input(block, dice) } else { Term::Text(self.fresh("greeting")) };
                block.arguments.push(("params", params));
            }
            block.create_before_destroy = false;
        }
        Some(())
    }

    fn balancer(&mut self, block: &mut Block, dice: &mut Dice) -> Option<()> {
        let first = self.some(&[SERVER], dice)?;
        block.home = self.home(first.home.stack, dice);
        block.repeat = Repeat::One;
        block.create_before_destroy = false;
        let targets = self.targets(block, first, dice);
        block.arguments = vec![("listen", Term::Text(self.fresh("port"))), ("targets", Term::All(targets, "address"))];
        if dice.chance(50) {
            block.arguments.push(("flavor", Term::Text(self.fresh("flavor"))));
        }
        Some(())
    }

    /// Servers that a balancer sends requests to. They are replaced before the old ones go: else there would be
    /// moments without any.
    pub(super) fn targets(&mut self, balancer: &Block, first: Block, dice: &mut Dice) -> Vec<String> {
        let mut names = vec![first.name];
        let stack = balancer.home.stack;
        let others: Vec<&Block> =
            self.blocks.iter().filter(|block| block.kind == SERVER && block.home.stack <= stack).collect();
        if dice.chance(30)
            && let Some(other) = dice.pick(&others).filter(|other| !names.contains(&other.name))
        {
            names.push(other.name.clone());
        }
        for block in self.blocks.iter_mut().filter(|block| names.contains(&block.name)) {
            block.create_before_destroy = true;
        }
        names
    }

    fn data(&mut self, block: &mut Block, dice: &mut Dice) -> Option<()> {
        let stacks: Vec<usize> = self.blocks.iter().map(|block| block.home.stack).collect();
        block.home = self.home(dice.pick(&stacks).copied().unwrap_or(0), dice);
        block.create_before_destroy = false;
        let input = self.input(block, dice);
        block.arguments.push(("input", input));
        if dice.chance(25) {
            let trigger = self.input(block, dice);
            block.arguments.push(("triggers_replace", trigger));
        }
        Some(())
    }

    /// A value from anywhere.
    pub(super) fn input(&mut self, block: &Block, dice: &mut Dice) -> Term {
        let stack = block.home.stack;
        let visible: Vec<&Block> = self
            .blocks
            .iter()
            .take_while(|other| other.name != block.name)
            .filter(|other| other.home.stack <= stack && other.kind != HOST && self.is_bearable(other, block))
            .filter(|other| block.kind == DATA || !other.repeat.keys().is_empty())
            .collect();
        let other = dice.pick(&visible).copied().cloned();
        match (other, dice.below(10)) {
            (Some(other), 0..=4) => {
                let attribute = match dice.pick(readable(&other)) {
                    // What a label says is one text.
                    Some(&"output")
                        if block.kind == SERVER && !other.arguments.iter().all(|(_, term)| is_text(term)) =>
                    {
                        "id"
                    }
                    Some(attribute) => attribute,
                    None => "id",
                };
                match other.repeat.keys().is_empty() {
                    true => Term::All(vec![other.name], attribute),
                    false => Term::One(self.refer(&other, attribute, block, dice)),
                }
            }
            (Some(other), 5 | 6) if block.kind == DATA => {
                Term::All(vec![other.name.clone()], dice.pick(readable(&other)).copied().unwrap_or("id"))
            }
            (_, 7) if block.kind == DATA => Term::Secret,
            _ => Term::Text(self.fresh("text")),
        }
    }

    pub(super) fn refer(&self, other: &Block, attribute: &'static str, user: &Block, dice: &mut Dice) -> Reference {
        let pick = if other.repeat == user.repeat && dice.chance(50) { Pick::Same } else { Pick::First };
        Reference { block: other.name.clone(), pick, attribute, by_local: dice.chance(20) }
    }

    /// Whether one block may be read by another. What is made first where it is replaced makes what it reads be made
    /// first, too; of a balancer there cannot be two at once.
    fn is_bearable(&self, read: &Block, user: &Block) -> bool {
        !matches!(user.kind, SERVER | DISK | NETWORK) || !self.leads_to(read, BALANCER)
    }

    /// Whether a block is of a kind, or reads one that is, by whatever way.
    pub(super) fn leads_to(&self, block: &Block, kind: &str) -> bool {
        let mut uses = block.uses().into_iter().filter_map(|name| self.block(name));
        block.kind == kind || uses.any(|used| self.leads_to(used, kind))
    }

    /// A block of one of these kinds that has an instance.
    pub(super) fn some(&self, kinds: &[&str], dice: &mut Dice) -> Option<Block> {
        let found: Vec<&Block> =
            self.blocks.iter().filter(|block| kinds.contains(&block.kind) && !block.repeat.keys().is_empty()).collect();
        dice.pick(&found).map(|block| (*block).clone())
    }
}

fn is_text(term: &Term) -> bool {
    matches!(term, Term::Text(_))
}

/// The attributes of a block that others may read.
fn readable(block: &Block) -> &'static [&'static str] {
    match block.kind {
        NETWORK => &["id", "cidr", "name"],
        SERVER => &["id", "address", "image", "password"],
        DISK => &["id", "size"],
        BALANCER => &["id", "url"],
        _ if block.arguments.iter().any(|(_, term)| is_secret(term)) => &["id"],
        _ => &["id", "output"],
    }
}

/// Whether a value is a secret, so that what is made of it can only be read where secrets may.
pub(crate) fn is_secret(term: &Term) -> bool {
    *term == Term::Secret
        || matches!(term, Term::All(_, "password"))
        || term.references().iter().any(|reference| reference.attribute == "password")
}

pub(super) fn repeat(dice: &mut Dice) -> Repeat {
    match dice.below(10) {
        0..=4 => Repeat::One,
        5..=7 => Repeat::Count(dice.between(1, 3) as u64),
        _ => Repeat::Each(keys(dice)),
    }
}

pub(super) fn keys(dice: &mut Dice) -> Vec<&'static str> {
    let mut keys: Vec<&'static str> = KEYS.iter().copied().filter(|_| dice.chance(50)).collect();
    if keys.is_empty() {
        keys.push("a");
    }
    keys
}
