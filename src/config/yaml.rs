//! YAML as a tree in which everything knows its place in the file.
//!
//! Built from the parser's events without recursion. Nesting, size and the number of nodes after expansion of
//! aliases are capped before anything walks the tree, so that walking it may recurse and cannot take long.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::issue::{Issue, Issues, Pos, clip, quote};

/// The longest input, in bytes.
pub const MAX_INPUT: usize = 16 << 20;
/// The deepest nesting of lists and mappings, aliases included.
pub const MAX_DEPTH: usize = 64;
/// The most nodes, counting what an alias stands for each time it is used.
pub const MAX_NODES: u64 = 1_000_000;
/// The most bytes of scalar text, counted likewise.
pub const MAX_TEXT: u64 = 32 << 20;

/// One value. An alias is the node it stands for, with that node's position.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it begins.
    pub(super) pos: Pos,
    /// What it is.
    pub(super) body: Body,
    cost: Cost,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Body {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Rc<Node>>),
    /// A mapping, in the file's order, merge keys resolved, keys unique.
    Map(Vec<Entry>),
}

/// A single value as text; what it means depends on the key.
#[derive(Debug)]
pub(super) struct Scalar {
    /// Escapes and folding resolved.
    pub(super) text: String,
    /// Neither quoted nor a block nor tagged `!!str`: may be something other than text.
    pub(super) plain: bool,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key's text.
    pub(super) key: Rc<str>,
    /// Where the key begins.
    pub(super) pos: Pos,
    /// Its value.
    pub(super) value: Rc<Node>,
}

/// What a node amounts to once its aliases are expanded.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    nodes: u64,
    text: u64,
    height: usize,
}

impl Node {
    /// `null`, `~` or nothing at all.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.body, Body::Scalar(s) if s.plain
            && matches!(s.text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Reads one document.
///
/// Mistakes that leave the tree whole (duplicate keys, a second document) are added to `issues`.
///
/// # Errors
/// The text is not YAML, or beyond the limits above.
pub(super) fn read(text: &str, issues: &mut Issues) -> Result<Option<Rc<Node>>, Issue> {
    if text.len() > MAX_INPUT {
        return Err(Issue::new(Pos::START, format!("longer than {} MiB", MAX_INPUT >> 20)));
    }
    // The parser would take a NUL for the end of the file, and let the others pass.
    let control = |c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r');
    if let Some((before, c)) = text
        .find(control)
        .and_then(|at| text.split_at_checked(at))
        .and_then(|(b, rest)| Some((b, rest.chars().next()?)))
    {
        let message = format!("not YAML: the character U+{:04X}", u32::from(c));
        return Err(Issue::new(Pos::after(before), message));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tabbed = tabbed_lines(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder =
        Builder { issues, open: Vec::new(), anchors: HashMap::new(), root: None, documents: 0, made: 0 };
    while let Some(next) = parser.next_event() {
        let (event, span) =
            next.map_err(|e| Issue::new(place(e.marker()), format!("not YAML: {}", clip(e.info()))))?;
        let pos = place(&span.start);
        // The parser lets them pass, and reads another structure than the writer saw.
        if tabbed.get(&pos.line).is_some_and(|indent| pos.column <= indent + 1) && starts(&event) {
            return Err(Issue::new(pos, "not YAML: a tab in the indentation"));
        }
        if !builder.event(event, pos)? {
            break;
        }
    }
    Ok(builder.root)
}

/// The lines with a tab in their indentation, and how many characters that is.
fn tabbed_lines(text: &str) -> HashMap<usize, usize> {
    let indent = |line: &str| line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect::<String>();
    (1..)
        .zip(text.lines())
        .map(|(n, line)| (n, indent(line)))
        .filter(|(_, indent)| indent.contains('\t'))
        .map(|(n, indent)| (n, indent.chars().count()))
        .collect()
}

/// Whether an event is the beginning of something written.
fn starts(event: &Event<'_>) -> bool {
    matches!(event, Event::Scalar(..) | Event::Alias(_) | Event::SequenceStart(..) | Event::MappingStart(..))
}

fn place(mark: &saphyr_parser::Marker) -> Pos {
    // The parser counts lines from 1 and columns from 0.
    Pos { line: mark.line().max(1), column: mark.col().saturating_add(1) }
}

struct Builder<'i> {
    issues: &'i mut Issues,
    open: Vec<Frame>,
    anchors: HashMap<usize, Option<Rc<Node>>>,
    root: Option<Rc<Node>>,
    documents: usize,
    made: u64,
}

struct Frame {
    pos: Pos,
    anchor: usize,
    cost: Cost,
    kind: Kind,
}

enum Kind {
    Seq(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, merges: Vec<Rc<Node>>, seen: HashMap<Rc<str>, Pos>, key: Key },
}

enum Key {
    None,
    Named(Rc<str>, Pos),
    Merge,
    Dropped,
}

impl Builder<'_> {
    /// One event; false when the rest need not be read.
    fn event(&mut self, event: Event<'_>, pos: Pos) -> Result<bool, Issue> {
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
            Event::StreamEnd => return Ok(false),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.issues.push(pos, "a second document: the file must be one");
                    return Ok(false);
                }
            }
            Event::Alias(id) => match self.anchors.get(&id) {
                Some(Some(node)) => {
                    let node = Rc::clone(node);
                    self.add(node, pos)?;
                }
                Some(None) => return Err(Issue::new(pos, "an alias inside of what it stands for")),
                None => return Err(Issue::new(pos, "an alias without an anchor")),
            },
            Event::Scalar(text, style, anchor, tag) => {
                let plain = self.tagged(tag.as_deref(), style == ScalarStyle::Plain, pos);
                let cost = Cost { nodes: 1, text: text.len() as u64, height: 0 };
                self.count(pos)?;
                let body = Body::Scalar(Scalar { text: text.into_owned(), plain });
                self.finish(Node { pos, body, cost }, anchor, pos)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.tagged(tag.as_deref(), false, pos);
                self.push(pos, anchor, Kind::Seq(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.tagged(tag.as_deref(), false, pos);
                let seen = HashMap::new();
                self.push(
                    pos,
                    anchor,
                    Kind::Map { entries: Vec::new(), merges: Vec::new(), seen, key: Key::None },
                )?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
        }
        Ok(true)
    }

    fn count(&mut self, pos: Pos) -> Result<(), Issue> {
        self.made += 1;
        if self.made > MAX_NODES { Err(too_many(pos)) } else { Ok(()) }
    }

    /// Whether a scalar with this tag is plain; the tags of the core schema only.
    fn tagged(&mut self, tag: Option<&Tag>, plain: bool, pos: Pos) -> bool {
        let Some(tag) = tag else { return plain };
        let name = if tag.is_yaml_core_schema() { tag.suffix.as_str() } else { "" };
        match name {
            "str" => false,
            "int" | "float" | "bool" | "null" | "merge" => true,
            "map" | "seq" => plain,
            _ if tag.to_string() == "!" => false,
            _ => {
                self.issues.push(pos, format!("unknown tag {}", quote(&tag.to_string())));
                plain
            }
        }
    }

    fn push(&mut self, pos: Pos, anchor: usize, kind: Kind) -> Result<(), Issue> {
        self.count(pos)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(pos));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
        self.open.push(Frame { pos, anchor, cost: Cost { nodes: 1, text: 0, height: 1 }, kind });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Issue> {
        let Some(Frame { pos, anchor, mut cost, kind }) = self.open.pop() else { return Ok(()) };
        let body = match kind {
            Kind::Seq(items) => Body::Seq(items),
            Kind::Map { mut entries, merges, mut seen, .. } => {
                for source in &merges {
                    for map in self.merge_sources(source) {
                        let Body::Map(others) = &map.body else { continue };
                        for e in others {
                            if !seen.contains_key(&e.key) {
                                seen.insert(Rc::clone(&e.key), e.pos);
                                cost.take(e.value.cost, pos)?;
                                cost.take(Cost { nodes: 1, ..Cost::default() }, pos)?;
                                entries.push(e.clone());
                            }
                        }
                    }
                }
                Body::Map(entries)
            }
        };
        self.finish(Node { pos, body, cost }, anchor, pos)
    }

    /// The mappings that a merge key names, the more important first.
    fn merge_sources(&mut self, value: &Rc<Node>) -> Vec<Rc<Node>> {
        let all = match &value.body {
            Body::Seq(items) => items.clone(),
            Body::Map(_) | Body::Scalar(_) => vec![Rc::clone(value)],
        };
        let mut good = Vec::new();
        for node in all {
            match &node.body {
                Body::Map(_) => good.push(node),
                Body::Seq(_) | Body::Scalar(_) => {
                    self.issues.push(node.pos, "`<<` takes a mapping or a list of mappings");
                }
            }
        }
        good
    }

    fn finish(&mut self, node: Node, anchor: usize, pos: Pos) -> Result<(), Issue> {
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Some(Rc::clone(&node)));
        }
        self.add(node, pos)
    }

    /// Puts a finished node where it belongs; `pos` is where it is used.
    fn add(&mut self, node: Rc<Node>, pos: Pos) -> Result<(), Issue> {
        let depth = self.open.len();
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        if depth + node.cost.height > MAX_DEPTH {
            return Err(too_deep(pos));
        }
        frame.cost.take(node.cost, pos)?;
        match &mut frame.kind {
            Kind::Seq(items) => items.push(node),
            Kind::Map { entries, merges, seen, key } => match std::mem::replace(key, Key::None) {
                Key::None => {
                    let Body::Scalar(scalar) = &node.body else {
                        self.issues.push(pos, "a key must be a single word");
                        *key = Key::Dropped;
                        return Ok(());
                    };
                    if scalar.plain && scalar.text == "<<" {
                        *key = Key::Merge;
                        return Ok(());
                    }
                    if let Some(first) = seen.get(scalar.text.as_str()) {
                        let text = quote(&scalar.text);
                        self.issues.push(pos, format!("duplicate key {text}, first in line {}", first.line));
                        *key = Key::Dropped;
                        return Ok(());
                    }
                    let name: Rc<str> = Rc::from(scalar.text.as_str());
                    seen.insert(Rc::clone(&name), pos);
                    *key = Key::Named(name, pos);
                }
                Key::Named(name, at) => entries.push(Entry { key: name, pos: at, value: node }),
                Key::Merge => merges.push(node),
                Key::Dropped => {}
            },
        }
        Ok(())
    }
}

impl Cost {
    fn take(&mut self, other: Cost, pos: Pos) -> Result<(), Issue> {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.text = self.text.saturating_add(other.text);
        self.height = self.height.max(other.height.saturating_add(1));
        if self.nodes > MAX_NODES {
            return Err(too_many(pos));
        }
        if self.text > MAX_TEXT {
            return Err(Issue::new(
                pos,
                format!("more than {} MiB of text, aliases expanded", MAX_TEXT >> 20),
            ));
        }
        Ok(())
    }
}

fn too_many(pos: Pos) -> Issue {
    Issue::new(pos, format!("more than {MAX_NODES} values, aliases expanded"))
}

fn too_deep(pos: Pos) -> Issue {
    Issue::new(pos, format!("nested deeper than {MAX_DEPTH} levels"))
}
