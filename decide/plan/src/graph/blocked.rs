//! What to do when nothing can go on: tell false cycles from true ones.

use andon_text::{Diagnostic, Span};

use super::{Graph, Key, NodeId, State};

impl Graph {
    /// Called when nothing can be evaluated and nothing is asked for: finds out why nodes still wait. Whether
    /// anything came of it, so that it is worth while to go on.
    ///
    /// Of all that a node waits for, only the first is certain to be needed: what was noted after it was found while
    /// a value was missing, perhaps in a branch that is not taken. So a node whose first wait has come is evaluated
    /// again. Where there is none, those that wait form cycles of first waits, and every cycle is an error.
    pub fn unblock(&mut self) -> bool {
        let open: Vec<NodeId> = (0..self.nodes.len())
            .filter_map(|at| u32::try_from(at).ok().map(NodeId))
            .filter(|id| self.node(*id).is_some_and(|node| matches!(node.state, State::Open)))
            .collect();
        let mut freed = false;
        for id in &open {
            if self.first_wait(*id).is_none_or(|(other, _)| self.is_settled(other)) {
                self.queue.push_back(*id);
                freed = true;
            }
        }
        freed || self.report_cycles(&open)
    }

    /// The nodes that wait and will never come, each with what it waits for: none unless an answer is outstanding.
    fn first_wait(&self, id: NodeId) -> Option<(NodeId, Option<Span>)> {
        self.node(id)?.waits.first().copied()
    }

    fn report_cycles(&mut self, open: &[NodeId]) -> bool {
        // Each node has one first wait, so a walk from any of them ends in a cycle, in a node of an earlier walk, or
        // in a node that is held.
        let mut walk_of: Vec<u32> = vec![0; self.nodes.len()];
        let mut cycles = Vec::new();
        for (walk, start) in (1u32..).zip(open) {
            let mut path = Vec::new();
            let mut at = *start;
            loop {
                match walk_of.get_mut(at.0 as usize) {
                    Some(seen) if *seen == 0 => *seen = walk,
                    Some(seen) if *seen == walk => {
                        let from = path.iter().position(|id| *id == at).unwrap_or(0);
                        cycles.push(path.split_off(from));
                        break;
                    }
                    _ => break,
                }
                path.push(at);
                match self.first_wait(at) {
                    Some((next, _)) => at = next,
                    None => break,
                }
            }
        }
        for cycle in &cycles {
            let diagnostic = self.describe_cycle(cycle);
            self.complain(diagnostic);
            cycle.iter().for_each(|id| self.fail(*id));
        }
        !cycles.is_empty()
    }

    fn describe_cycle(&self, cycle: &[NodeId]) -> Diagnostic {
        // Begun at the same place whichever node it was found from.
        let names: Vec<String> = cycle.iter().map(|id| self.name(*id)).collect();
        let start = names.iter().enumerate().min_by_key(|(_, name)| *name).map_or(0, |(at, _)| at);
        let turned = |at: usize| (start + at) % names.len().max(1);
        let mut chain: Vec<&str> = Vec::new();
        let mut places: Vec<(Span, String)> = Vec::new();
        for at in 0..names.len() {
            let (Some(name), Some(id)) = (names.get(turned(at)), cycle.get(turned(at))) else { continue };
            let next = names.get(turned(at + 1)).map_or("", String::as_str);
            // Which instances there are is a question of its own only to the graph.
            if chain.last() != Some(&name.as_str()) {
                chain.push(name);
            }
            if let Some((_, Some(span))) = self.first_wait(*id) {
                let words =
                    if name == next { format!("`{name}` reads itself") } else { format!("`{name}` reads `{next}`") };
                places.push((span, words));
            }
        }
        chain.extend(chain.first().copied());
        let summary = match chain.as_slice() {
            [one, _] => format!("`{one}` depends on itself"),
            chain => format!("dependency cycle: {}", chain.join(" → ")),
        };
        let mut diagnostic = Diagnostic::error(summary)
            .detail("Each of these needs another of them first, so none can be the first.")
            .help("Take one of the references out, or give its value in another way.");
        let mut places = places.into_iter();
        if let Some((span, words)) = places.next() {
            diagnostic = diagnostic.at(span).label(words);
        }
        places.fold(diagnostic, |diagnostic, (span, words)| diagnostic.related(span, words))
    }

    /// What a node is called in messages.
    pub fn name(&self, id: NodeId) -> String {
        let Some(key) = self.key(id) else { return String::new() };
        let within = |module: &super::ModuleId, what: String| {
            let Some(module) = self.module(*module) else { return what };
            let mut text = String::new();
            if !module.stack.is_empty() {
                text.push_str(&format!("{}/", module.stack));
            }
            for step in module.path.iter() {
                text.push_str(&format!("module.{}", step.name));
                text.push_str(&step.key.as_ref().map(ToString::to_string).unwrap_or_default());
                text.push('.');
            }
            if what.is_empty() { text.trim_end_matches(['.', '/']).to_owned() } else { text + &what }
        };
        match key {
            Key::Variable(module, name) => within(module, format!("var.{name}")),
            Key::Local(module, name) => within(module, format!("local.{name}")),
            Key::Output(module, name) => within(module, format!("output.{name}")),
            Key::CallKeys(module, name) | Key::Call(module, name) => within(module, format!("module.{name}")),
            Key::Outputs(module) | Key::Contents(module) | Key::Before(module) => within(module, String::new()),
            Key::Check(module, name) => within(module, format!("check.{name}")),
            Key::Provider(module, (name, alias), _) => {
                let alias = alias.iter().map(|alias| format!(".{alias}")).collect::<String>();
                within(module, format!("provider.{name}{alias}"))
            }
            Key::Import(module, _) => within(module, "import".to_owned()),
            Key::Function(call) => format!("the function {} of {}", call.function, call.provider),
            Key::Keys(resource) | Key::Resource(resource) => {
                self.resources.get(*resource).map(|resource| resource.address.to_string()).unwrap_or_default()
            }
            Key::Instance(resource, instance)
            | Key::StackName(resource, instance)
            | Key::Verified(resource, instance)
            | Key::Provisioners(resource, instance, _) => self
                .resources
                .get(*resource)
                .map(|resource| resource.address.instance(instance.clone()).to_string())
                .unwrap_or_default(),
        }
    }
}
