//! What goes wrong in one run.

use crate::dice::Dice;

/// What goes wrong in one run. The default is nothing. Odds are percents.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// A command is refused, and nothing is done.
    pub refuse: u8,
    /// A command is done, and said to have failed.
    pub fail_after: u8,
    /// A command stops half-way.
    pub half: u8,
    /// An answer takes long; a command then ends in a time-out, done or not.
    pub slow: u8,
    /// A question is not answered; of a plugin, any of its calls.
    pub silent: u8,
    /// The answer to a command is lost, whatever was done: a plugin's alone.
    pub lose: u8,
    /// The plugin dies at this step of the world, and with it every call that is under way.
    pub plugin_crash_at_step: Option<usize>,
    /// The process dies at this append, before anything is stored.
    pub crash_before_append: Option<usize>,
    /// The process dies at this append, after all of it is stored and before anybody hears of it.
    pub crash_after_append: Option<usize>,
    /// The process dies at this step of the world.
    pub crash_at_step: Option<usize>,
    /// The disk is full at this append.
    pub full_at_append: Option<usize>,
    /// The user asks for an end at this step of the world.
    pub interrupt_at_step: Option<usize>,
    /// The plan is made and saved first, and somebody may edit the project before it is applied.
    pub saved: bool,
}

impl Faults {
    /// One way or several for a run to go wrong; crashes are the most frequent.
    pub fn roll(dice: &mut Dice) -> Faults {
        let mut faults = Faults::default();
        if dice.chance(60) {
            let all =
                [&mut faults.refuse, &mut faults.fail_after, &mut faults.half, &mut faults.slow, &mut faults.lose];
            for odds in all {
                if dice.chance(40) {
                    *odds = u8::try_from(dice.between(3, 30)).unwrap_or(3);
                }
            }
            if dice.chance(15) {
                faults.silent = 4;
            }
        }
        faults.saved = dice.chance(12);
        let soon = |dice: &mut Dice, most: usize| {
            // Early moments are where little is recorded yet; they come up as often as all the later ones.
            let most = if dice.chance(50) { 6 } else { most };
            Some(dice.between(1, most))
        };
        match dice.below(10) {
            0 | 1 => faults.crash_before_append = soon(dice, 30),
            2 | 3 => faults.crash_after_append = soon(dice, 30),
            4 | 5 => faults.crash_at_step = soon(dice, 150),
            6 => faults.full_at_append = soon(dice, 30),
            7 => faults.interrupt_at_step = soon(dice, 150),
            _ => {}
        }
        // Who asks for an end a second time gets it at once.
        if let Some(first) = faults.interrupt_at_step
            && dice.chance(40)
        {
            faults.crash_at_step = Some(first + dice.between(1, 20));
        }
        if dice.chance(25) {
            faults.plugin_crash_at_step = soon(dice, 150);
        }
        faults
    }

    /// What will go wrong, for a reader.
    pub fn in_words(&self) -> String {
        let odds = [
            ("refused", self.refuse),
            ("failing afterwards", self.fail_after),
            ("stopping half-way", self.half),
            ("slow", self.slow),
            ("silent", self.silent),
            ("lost", self.lose),
        ];
        let moments = [
            ("crash before append", self.crash_before_append),
            ("crash after append", self.crash_after_append),
            ("crash at step", self.crash_at_step),
            ("disk full at append", self.full_at_append),
            ("interrupt at step", self.interrupt_at_step),
            ("plugin crash at step", self.plugin_crash_at_step),
        ];
        let odds = odds.iter().filter(|(_, odds)| *odds > 0).map(|(name, odds)| format!(", {odds} % {name}"));
        let moments = moments.iter().filter_map(|(name, at)| at.map(|at| format!(", {name} {at}")));
        let saved = self.saved.then(|| ", saved first".to_owned());
        odds.chain(moments).chain(saved).collect()
    }
}
