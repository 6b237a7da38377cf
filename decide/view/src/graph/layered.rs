//! Places boxes in columns so that arrows go from right to left: the method of Sugiyama, Tagawa and Toda (Methods for
//! Visual Understanding of Hierarchical System Structures, 1981). Its steps:
//!
//! 1. arrows that close a circle are turned round, as a search in depth finds them;
//! 2. each box comes one column after the last of those that it reads (the longest path);
//! 3. a long arrow gets a bend in each column that it passes; arrows to the same end share their bends;
//! 4. the order in each column is the barycentre of the neighbours', swept to and fro; the order with the fewest
//!    crossings is kept, counted with a tree of sums (Barth, Mutzel, Jünger: Simple and Efficient Bilayer Cross
//!    Counting, 2004);
//! 5. heights: each box is drawn towards its neighbours, and the column's order and distances are kept by pooling
//!    those that would overlap (isotonic regression; Ayer et al., 1955).

use std::collections::{BTreeMap, BTreeSet};

/// How far apart columns are.
const COLUMN_GAP: f64 = 60.0;
/// How far apart two boxes of a column are.
const BOX_GAP: f64 = 16.0;
/// How far apart two bends are.
const BEND_GAP: f64 = 8.0;
/// More bends than this help nobody: long arrows then go straight.
const MOST_BENDS: usize = 60_000;
/// How often orders and heights are swept.
const SWEEPS: usize = 10;
/// The pictures are about this much wider than high, where there is a choice.
const ASPECT: f64 = 1.6;

/// What is placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub width: f64,
    pub height: f64,
    pub end: End,
}

/// Whether an item has to be in a certain column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It need not.
    None,
    /// In the first, alone with its like: an arrow leaves the picture there.
    First,
    /// In the last, alone with its like: an arrow comes into the picture there.
    Last,
}

/// An arrow. It begins and ends at these heights below the tops of its items.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    pub from: usize,
    pub from_y: f64,
    pub to: usize,
    pub to_y: f64,
    /// Arrows to one item share bends where this is the same.
    pub bundle: usize,
    /// Whether a head is drawn where it ends.
    pub head: bool,
}

/// Part of an arrow: a curve between two columns, between runs along them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Link {
    /// Where it begins, the column's left side, and the height there.
    pub from: (f64, f64, f64),
    /// The column's right side, where it ends, and the height there.
    pub to: (f64, f64, f64),
    /// Heads at the end (the left) and at the beginning.
    pub heads: (bool, bool),
}

/// Where everything is.
#[derive(Debug, Clone, Default)]
pub(super) struct Placed {
    /// The left upper corner of each item.
    pub corners: Vec<(f64, f64)>,
    pub links: Vec<Link>,
    pub width: f64,
    pub height: f64,
}

/// A box or a bend, in its column.
#[derive(Debug, Clone, Copy, Default)]
struct Spot {
    column: usize,
    height: f64,
    bend: bool,
    y: f64,
}

/// A piece of an arrow between two spots, from the right one to the left one.
#[derive(Debug, Clone, Copy)]
struct Piece {
    right: usize,
    right_y: f64,
    left: usize,
    left_y: f64,
    heads: (bool, bool),
}

/// Places items.
pub(super) fn place(items: &[Item], wires: &[Wire]) -> Placed {
    let wires: Vec<Wire> = wires.iter().filter(|wire| wire.from != wire.to).copied().collect();
    let mut wired = vec![false; items.len()];
    for wire in &wires {
        put(&mut wired, wire.from, true);
        put(&mut wired, wire.to, true);
    }
    let columns = columns(items, &wires, &wired);
    let mut drawing = Drawing::new(items, &wires, &wired, &columns);
    drawing.order();
    drawing.heights();
    let mut placed = drawing.finish(items, &wired);
    grid(items, &wired, &mut placed);
    placed
}

fn get<T: Copy + Default>(all: &[T], at: usize) -> T {
    all.get(at).copied().unwrap_or_default()
}

fn put<T>(all: &mut [T], at: usize, value: T) {
    if let Some(place) = all.get_mut(at) {
        *place = value;
    }
}

/// The arrows that have to be turned round, by their place.
fn turned(count: usize, wires: &[Wire]) -> Vec<bool> {
    let mut out: Vec<Vec<(usize, usize)>> = vec![Vec::new(); count];
    for (at, wire) in wires.iter().enumerate() {
        if let Some(out) = out.get_mut(wire.from) {
            out.push((wire.to, at));
        }
    }
    let mut turned = vec![false; wires.len()];
    // 0: not seen, 1: on the way, 2: done.
    let mut state = vec![0u8; count];
    for start in 0..count {
        let mut way: Vec<(usize, usize)> = Vec::new();
        if get(&state, start) == 0 {
            put(&mut state, start, 1);
            way.push((start, 0));
        }
        while let Some((item, next)) = way.last_mut() {
            match out.get(*item).and_then(|out| out.get(*next)) {
                None => {
                    put(&mut state, *item, 2);
                    way.pop();
                }
                Some((to, wire)) => {
                    *next += 1;
                    match get(&state, *to) {
                        0 => {
                            put(&mut state, *to, 1);
                            way.push((*to, 0));
                        }
                        1 => put(&mut turned, *wire, true),
                        _ => {}
                    }
                }
            }
        }
    }
    turned
}

/// The column of each item, from 0 on the left.
fn columns(items: &[Item], wires: &[Wire], wired: &[bool]) -> Vec<usize> {
    let free = |at: usize| items.get(at).is_some_and(|item| item.end == End::None);
    let turned = turned(items.len(), wires);
    let pairs: BTreeSet<(usize, usize)> = (wires.iter().zip(&turned))
        .filter(|(wire, _)| free(wire.from) && free(wire.to))
        .map(|(wire, turned)| if *turned { (wire.to, wire.from) } else { (wire.from, wire.to) })
        .collect();
    let mut waits = vec![0usize; items.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    for (from, to) in &pairs {
        let before = get(&waits, *from);
        put(&mut waits, *from, before + 1);
        if let Some(readers) = readers.get_mut(*to) {
            readers.push(*from);
        }
    }
    let mut columns = vec![1usize; items.len()];
    let mut ready: Vec<usize> = (0..items.len()).filter(|at| get(&waits, *at) == 0).collect();
    let reads_nothing: Vec<usize> = ready.clone();
    while let Some(item) = ready.pop() {
        for reader in readers.get(item).into_iter().flatten() {
            let column = get(&columns, *reader).max(get(&columns, item) + 1);
            put(&mut columns, *reader, column);
            let left = get(&waits, *reader) - 1;
            put(&mut waits, *reader, left);
            if left == 0 {
                ready.push(*reader);
            }
        }
    }
    // What reads nothing stands beside the first that reads it.
    for item in reads_nothing {
        let nearest = readers.get(item).into_iter().flatten().map(|reader| get(&columns, *reader)).min();
        if let Some(nearest) = nearest {
            put(&mut columns, item, nearest - 1);
        }
    }
    let last = columns.iter().zip(wired).filter(|(_, wired)| **wired).map(|(column, _)| *column).max().unwrap_or(0);
    for (column, item) in columns.iter_mut().zip(items) {
        match item.end {
            End::None => {}
            End::First => *column = 0,
            End::Last => *column = last + 1,
        }
    }
    columns
}

struct Drawing {
    spots: Vec<Spot>,
    pieces: Vec<Piece>,
    /// Pieces over more than one column, where there would be too many bends.
    straight: Vec<Piece>,
    columns: Vec<Vec<usize>>,
    /// The pieces at the right and at the left of each spot.
    right: Vec<Vec<usize>>,
    left: Vec<Vec<usize>>,
}

impl Drawing {
    fn new(items: &[Item], wires: &[Wire], wired: &[bool], columns: &[usize]) -> Drawing {
        let spot = |(item, column): (&Item, &usize)| Spot { column: *column, height: item.height, bend: false, y: 0.0 };
        let spots: Vec<Spot> = items.iter().zip(columns).map(spot).collect();
        let count = columns.iter().max().map_or(0, |last| last + 1);
        let (pieces, straight) = (Vec::new(), Vec::new());
        let mut drawing =
            Drawing { spots, pieces, straight, columns: vec![Vec::new(); count], right: Vec::new(), left: Vec::new() };
        drawing.bend(wires);
        for (at, spot) in drawing.spots.iter().enumerate() {
            if spot.bend || get(wired, at) {
                if let Some(column) = drawing.columns.get_mut(spot.column) {
                    column.push(at);
                }
            }
        }
        drawing.right = vec![Vec::new(); drawing.spots.len()];
        drawing.left = drawing.right.clone();
        for (at, piece) in drawing.pieces.iter().enumerate() {
            if let Some(left) = drawing.left.get_mut(piece.right) {
                left.push(at);
            }
            if let Some(right) = drawing.right.get_mut(piece.left) {
                right.push(at);
            }
        }
        drawing
    }

    /// Cuts arrows into pieces, one from each column to the next.
    fn bend(&mut self, wires: &[Wire]) {
        let column = |spots: &[Spot], at: usize| get(spots, at).column;
        let ends = wires.iter().map(|wire| match column(&self.spots, wire.from) > column(&self.spots, wire.to) {
            true => (*wire, (wire.to, wire.bundle, false), (wire.head, false)),
            false => {
                let Wire { from, from_y, to, to_y, .. } = *wire;
                let round = Wire { from: to, from_y: to_y, to: from, to_y: from_y, ..*wire };
                (round, (from, to, true), (false, wire.head))
            }
        });
        let ends: Vec<_> = ends.collect();
        let passed: BTreeSet<((usize, usize, bool), usize)> = (ends.iter())
            .flat_map(|(wire, key, _)| {
                let columns = column(&self.spots, wire.to) + 1..column(&self.spots, wire.from);
                // Enough to see that there are too many.
                columns.take(MOST_BENDS).map(|column| (*key, column))
            })
            .take(MOST_BENDS * 4)
            .collect();
        let bends = passed.len() < MOST_BENDS;
        let mut at: BTreeMap<((usize, usize, bool), usize), usize> = BTreeMap::new();
        let mut drawn: BTreeSet<(usize, usize, u64, u64)> = BTreeSet::new();
        for (wire, key, heads) in ends {
            let (first, last) = (column(&self.spots, wire.from), column(&self.spots, wire.to));
            let mut right = (wire.from, wire.from_y);
            let between = if bends { last + 1..first } else { 0..0 };
            for column in between.rev() {
                let spot = *at.entry((key, column)).or_insert_with(|| {
                    self.spots.push(Spot { column, height: 0.0, bend: true, y: 0.0 });
                    self.spots.len() - 1
                });
                let begins = if right.0 == wire.from { (false, heads.1) } else { (false, false) };
                if drawn.insert((right.0, spot, right.1.to_bits(), 0)) {
                    let (right, right_y) = right;
                    self.pieces.push(Piece { right, right_y, left: spot, left_y: 0.0, heads: begins });
                }
                right = (spot, 0.0);
            }
            let heads = (heads.0, heads.1 && right.0 == wire.from);
            if drawn.insert((right.0, wire.to, right.1.to_bits(), wire.to_y.to_bits())) {
                let ((right, right_y), left, left_y) = (right, wire.to, wire.to_y);
                let piece = Piece { right, right_y, left, left_y, heads };
                if bends || first <= last + 1 { self.pieces.push(piece) } else { self.straight.push(piece) }
            }
        }
    }

    /// The places in their columns.
    fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.spots.len()];
        for column in &self.columns {
            for (place, spot) in column.iter().enumerate() {
                put(&mut places, *spot, place);
            }
        }
        places
    }

    fn order(&mut self) {
        let mut best = (self.crossings(), self.columns.clone());
        let mut places = self.places();
        for sweep in 0..SWEEPS {
            if best.0 == 0 {
                break;
            }
            let rightwards = sweep % 2 == 0;
            let mut columns = std::mem::take(&mut self.columns);
            let count = columns.len();
            for step in 0..count {
                let at = if rightwards { step } else { count - 1 - step };
                let Some(column) = columns.get_mut(at) else { continue };
                let centre = |spot: usize| -> Option<f64> {
                    let pieces = if rightwards { self.left.get(spot) } else { self.right.get(spot) }?;
                    let others = pieces.iter().filter_map(|piece| self.pieces.get(*piece)).map(|piece| {
                        let (other, y) = match rightwards {
                            true => (piece.left, piece.left_y),
                            false => (piece.right, piece.right_y),
                        };
                        // Places in one box, one below the other.
                        get(&places, other) as f64 + (y / 10_000.0).min(0.9)
                    });
                    let (sum, count) = others.fold((0.0, 0.0), |(sum, count), place| (sum + place, count + 1.0));
                    (count > 0.0).then(|| sum / count)
                };
                // What has no neighbour on that side stays where it is.
                let mut sorted: Vec<(f64, usize)> = Vec::with_capacity(column.len());
                for (place, spot) in column.iter().enumerate() {
                    sorted.push((centre(*spot).unwrap_or(place as f64), *spot));
                }
                sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
                for (place, ((_, spot), slot)) in sorted.iter().zip(column.iter_mut()).enumerate() {
                    *slot = *spot;
                    put(&mut places, *spot, place);
                }
            }
            self.columns = columns;
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.columns.clone());
            }
        }
        self.columns = best.1;
    }

    /// How many pairs of pieces cross.
    fn crossings(&self) -> u64 {
        let places = self.places();
        let mut between: Vec<Vec<(usize, usize)>> = vec![Vec::new(); self.columns.len()];
        for piece in &self.pieces {
            let column = get(&self.spots, piece.right).column;
            if let Some(between) = between.get_mut(column) {
                between.push((get(&places, piece.right), get(&places, piece.left)));
            }
        }
        let mut crossings = 0;
        for pairs in &mut between {
            pairs.sort_unstable();
            let size = pairs.iter().map(|(_, left)| left + 1).max().unwrap_or(0);
            // sums[i] counts ends in a range that ends before i (Fenwick, 1994).
            let mut sums = vec![0u64; size + 1];
            for (seen, (_, left)) in pairs.iter().enumerate() {
                let mut before = 0;
                let mut at = left + 1;
                while at > 0 {
                    before += get(&sums, at);
                    at &= at - 1;
                }
                crossings += seen as u64 - before;
                let mut at = left + 1;
                while at <= size {
                    let sum = get(&sums, at) + 1;
                    put(&mut sums, at, sum);
                    at += at & at.wrapping_neg();
                }
            }
        }
        crossings
    }

    fn heights(&mut self) {
        for column in &self.columns {
            let mut y = 0.0;
            let mut before: Option<Spot> = None;
            for at in column {
                let spot = get(&self.spots, *at);
                y += before.map_or(0.0, |before| before.height + gap(before, spot));
                put(&mut self.spots, *at, Spot { y, ..spot });
                before = Some(spot);
            }
        }
        for sweep in 0..=SWEEPS {
            let count = self.columns.len();
            for step in 0..count {
                let at = if sweep % 2 == 0 { step } else { count - 1 - step };
                let sides = if sweep == SWEEPS { (true, true) } else { (sweep % 2 == 0, sweep % 2 == 1) };
                self.settle(at, sides);
            }
        }
        let top = self.columns.iter().flatten().map(|at| get(&self.spots, *at).y).fold(f64::INFINITY, f64::min);
        if top.is_finite() {
            self.spots.iter_mut().for_each(|spot| spot.y -= top);
        }
    }

    /// Moves the spots of a column towards their neighbours on these sides (left, right).
    fn settle(&mut self, column: usize, sides: (bool, bool)) {
        let Some(column) = self.columns.get(column) else { return };
        // Where each wants to be, less the room of all before it: these must not fall.
        let mut pools: Vec<(f64, f64, usize)> = Vec::with_capacity(column.len());
        let mut room = 0.0;
        let mut rooms = Vec::with_capacity(column.len());
        let mut before: Option<Spot> = None;
        for at in column {
            let spot = get(&self.spots, *at);
            room += before.map_or(0.0, |before| before.height + gap(before, spot));
            rooms.push(room);
            before = Some(spot);
            let wanted = self.wanted(*at, sides).unwrap_or(spot.y) - room;
            // An arrow that bends is worse to look at than a box that is not in the middle of its neighbours.
            let mut pool = (wanted, if spot.bend { 4.0 } else { 1.0 }, 1);
            while let Some((mean, weight, count)) = pools.last().copied().filter(|last| last.0 > pool.0) {
                pools.pop();
                let whole = weight + pool.1;
                pool = ((mean * weight + pool.0 * pool.1) / whole, whole, count + pool.2);
            }
            pools.push(pool);
        }
        let settled = pools.iter().flat_map(|(mean, _, count)| std::iter::repeat_n(*mean, *count));
        let moves: Vec<(usize, f64)> =
            column.iter().zip(settled.zip(&rooms)).map(|(at, (mean, room))| (*at, mean + room)).collect();
        for (at, y) in moves {
            let spot = get(&self.spots, at);
            put(&mut self.spots, at, Spot { y, ..spot });
        }
    }

    fn wanted(&self, at: usize, (left, right): (bool, bool)) -> Option<f64> {
        let pieces = |list: &[Vec<usize>], wanted: bool| -> Vec<Piece> {
            let list = list.get(at).filter(|_| wanted).into_iter().flatten();
            list.filter_map(|piece| self.pieces.get(*piece)).copied().collect()
        };
        let lefts = pieces(&self.left, left).into_iter();
        let lefts = lefts.map(|piece| get(&self.spots, piece.left).y + piece.left_y - piece.right_y);
        let rights = pieces(&self.right, right).into_iter();
        let rights = rights.map(|piece| get(&self.spots, piece.right).y + piece.right_y - piece.left_y);
        let (sum, count) = lefts.chain(rights).fold((0.0, 0.0), |(sum, count), y| (sum + y, count + 1.0));
        (count > 0.0).then(|| sum / count)
    }

    fn finish(&self, items: &[Item], wired: &[bool]) -> Placed {
        let mut widths = vec![0.0f64; self.columns.len()];
        for ((item, spot), _) in items.iter().zip(&self.spots).zip(wired).filter(|(_, wired)| **wired) {
            let width = get(&widths, spot.column).max(item.width);
            put(&mut widths, spot.column, width);
        }
        let mut x = 0.0;
        let mut lefts = Vec::with_capacity(widths.len());
        for (at, width) in widths.iter().enumerate() {
            if at > 0 && self.columns.get(at - 1).is_some_and(|column| !column.is_empty()) {
                x += COLUMN_GAP;
            }
            lefts.push(x);
            x += width;
        }
        let column = |spot: &Spot| (get(&lefts, spot.column), get(&widths, spot.column));
        let corners: Vec<(f64, f64)> = (items.iter().zip(&self.spots))
            .map(|(item, spot)| {
                let (left, width) = column(spot);
                (left + (width - item.width) / 2.0, spot.y)
            })
            .collect();
        let side = |at: usize, right: bool| {
            let spot = get(&self.spots, at);
            let (left, width) = column(&spot);
            match (items.get(at), corners.get(at)) {
                (Some(item), Some((x, _))) => x + if right { item.width } else { 0.0 },
                // A bend runs along its column: half of it belongs to either piece.
                _ => left + width / 2.0,
            }
        };
        let links = self.pieces.iter().chain(&self.straight).map(|piece| {
            let (right, left) = (get(&self.spots, piece.right), get(&self.spots, piece.left));
            let (end_column, begin_column) = (column(&left), column(&right));
            Link {
                from: (side(piece.right, false), begin_column.0, right.y + piece.right_y),
                to: (end_column.0 + end_column.1, side(piece.left, true), left.y + piece.left_y),
                heads: piece.heads,
            }
        });
        let spots = self.columns.iter().flatten().map(|at| get(&self.spots, *at));
        let height = spots.map(|spot| spot.y + spot.height).fold(0.0, f64::max);
        Placed { links: links.collect(), corners, width: x, height }
    }
}

fn gap(one: Spot, other: Spot) -> f64 {
    if one.bend && other.bend { BEND_GAP } else { BOX_GAP }
}

/// What no arrow touches stands below, in rows.
fn grid(items: &[Item], wired: &[bool], placed: &mut Placed) {
    let alone = || items.iter().enumerate().zip(wired).filter(|(_, wired)| !**wired).map(|(item, _)| item);
    let count = alone().count();
    if count == 0 {
        return;
    }
    let area: f64 = alone().map(|(_, item)| (item.width + BOX_GAP) * (item.height + BOX_GAP)).sum();
    let widest = alone().map(|(_, item)| item.width).fold(0.0, f64::max);
    let width = (area * ASPECT).sqrt().max(placed.width).max(widest);
    let top = if placed.height > 0.0 { placed.height + BOX_GAP * 2.0 } else { 0.0 };
    // Boxes of one width stand in columns.
    let step = if alone().all(|(_, item)| item.width > widest / 2.0) { widest } else { 0.0 };
    let (mut x, mut y, mut row) = (0.0f64, top, 0.0f64);
    for (at, item) in alone() {
        if x > 0.0 && x + item.width > width {
            (x, y, row) = (0.0, y + row + BOX_GAP, 0.0);
        }
        put(&mut placed.corners, at, (x, y));
        placed.width = placed.width.max(x + item.width);
        placed.height = placed.height.max(y + item.height);
        x += item.width.max(step) + BOX_GAP;
        row = row.max(item.height);
    }
}
