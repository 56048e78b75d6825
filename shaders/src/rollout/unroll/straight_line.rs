//! Environments whose WGSL is seen to need no runtime checks: straight-line arithmetic on numbers of its own.
//!
//! Checks cost a software driver minutes: bounds checks hide that an index is constant, so that arrays which belong into
//! registers become ladders of branches in *our* part of a kernel (see `docs/rejected.md`). They may be left out for a text
//! of a user's that can do nothing which they guard against. [`is_straight_line`] reads such a text word by word, and
//! accepts it only if
//!
//! * it has no `loop`, `for` or `while`, and WGSL has no recursion: it ends;
//! * each `[` is followed by a number, or by the name of a constant, and `]`: WGSL makes an error of a constant index that
//!   is out of bounds, with or without checks;
//! * it declares no variables but those of its functions, and names nothing that the rest of the kernel declares at module
//!   scope, except the sizes and [`LIBRARY`](super::LIBRARY), which have neither loops, indices nor variables: it reaches
//!   no buffer, no workgroup memory, and none of our functions that do;
//! * it declares nothing at module scope that the rest of the kernel names (not `min`, say), except the functions
//!   asked of it, and sets no constants but its own: our text means what it meant when it was tested;
//! * its braces and comments end where it ends, and it has no attributes, block comments or signs unknown to this reader;
//!   the name of its file, which stands in a comment, has no end of a line.
//!
//! All that it can do is then to hand numbers, a `bool` and a `Random` to our part. Our environments and policies have to be
//! right for all of these anyway, since kernels that step or act read states, observations and actions from buffers of
//! any content.
//!
//! Sizes and text are read once and kept ([`StraightLine`]), so that what was checked is what is compiled and measured. It
//! counts in the kernel with which it was checked, and in no other.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use super::{Environment, EpisodeRandom, LIBRARY, Outcome, PictureSize, sizes};
use crate::Error;

/// The functions that the kernel calls by name.
const ASKED: [&str; 4] = ["environment_reset", "environment_observe", "environment_step", "environment_pixel"];

/// An environment as it was when its text was checked.
#[derive(Debug, Clone)]
struct StraightLine {
    environment: Arc<dyn Environment>,
    file: String,
    source: String,
    states: usize,
    observations: usize,
    actions: usize,
    horizon: usize,
    picture: Option<PictureSize>,
    constants: Vec<(&'static str, f64)>,
    /// The rest of the kernel.
    rest: String,
}

impl StraightLine {
    /// The rest of a kernel: its WGSL with an environment of these sizes and no text.
    fn rest_of(&self, kernel: impl Fn(Arc<dyn Environment>) -> String) -> String {
        kernel(Arc::new(Self { source: String::new(), rest: String::new(), ..self.clone() }))
    }

    fn needs_no_checks(&self) -> bool {
        let library = LIBRARY.concat() + &sizes(self);
        let mut name = self.file.chars();
        let named_plainly = name.all(|letter| letter.is_ascii_graphic() || letter == ' ');
        named_plainly && is_straight_line(&self.source, &library, &self.rest, &self.constants)
    }
}

/// True if an environment runs without the shader's runtime checks in a kernel: if it is this crate's own, its author
/// promised what that takes, or it was seen in this very kernel. `kernel` returns the kernel's WGSL with an environment.
pub(crate) fn is_unchecked(environment: &dyn Environment, kernel: impl Fn(Arc<dyn Environment>) -> String) -> bool {
    let any: &dyn Any = environment;
    let was_seen = |world: &StraightLine| world.rest_of(kernel) == world.rest;
    environment.runtime_checks().are_off(environment) || any.downcast_ref().is_some_and(was_seen)
}

/// The environment itself or, if its WGSL needs no runtime checks beside the rest of the kernel, one that
/// [`is_unchecked`] there. `kernel` returns the kernel's WGSL with an environment.
pub(crate) fn without_needless_checks(
    environment: &Arc<dyn Environment>,
    kernel: impl Fn(Arc<dyn Environment>) -> String,
) -> Arc<dyn Environment> {
    if is_unchecked(&**environment, &kernel) {
        return environment.clone();
    }
    let mut snapshot = StraightLine {
        environment: environment.clone(),
        file: environment.file().into(),
        source: environment.source().into(),
        states: environment.states(),
        observations: environment.observations(),
        actions: environment.actions(),
        horizon: environment.horizon(),
        picture: environment.picture(),
        constants: environment.constants(),
        rest: String::new(),
    };
    snapshot.rest = snapshot.rest_of(kernel);
    if snapshot.needs_no_checks() { Arc::new(snapshot) } else { environment.clone() }
}

impl Environment for StraightLine {
    fn file(&self) -> &str {
        &self.file
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn states(&self) -> usize {
        self.states
    }

    fn observations(&self) -> usize {
        self.observations
    }

    fn actions(&self) -> usize {
        self.actions
    }

    fn horizon(&self) -> usize {
        self.horizon
    }

    fn check(&self) -> Result<(), Error> {
        self.environment.check()
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        self.constants.clone()
    }

    fn rounding(&self) -> f64 {
        self.environment.rounding()
    }

    fn picture(&self) -> Option<PictureSize> {
        self.picture
    }

    fn largest_observation(&self) -> f64 {
        self.environment.largest_observation()
    }

    fn table(&self) -> Option<&[f32]> {
        self.environment.table()
    }

    fn decides(&self) -> bool {
        self.environment.decides()
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        self.environment.reset(random, state);
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        self.environment.observe(state, observation);
    }

    fn step(&self, state: &mut [f64], action: &[f64], random: &mut EpisodeRandom) -> Outcome {
        self.environment.step(state, action, random)
    }

    fn pixel(&self, scene: &[f64], row: usize, column: usize) -> f64 {
        self.environment.pixel(scene, row, column)
    }

    fn colour(&self, scene: &[f64], row: usize, column: usize) -> [f64; 3] {
        self.environment.colour(scene, row, column)
    }
}

/// True if `part` needs no runtime checks in the kernel that it makes with `rest`, of whose declarations it may use those
/// of `library`, for these values of overridable constants.
fn is_straight_line(part: &str, library: &str, rest: &str, constants: &[(&str, f64)]) -> bool {
    let [Some(part), Some(library), Some(rest)] = [part, library, rest].map(words) else { return false };
    let forbidden = ["loop", "for", "while", "@"];
    if part.iter().any(|word| forbidden.contains(word)) || !is_balanced(&part) {
        return false;
    }
    let (open, ours, theirs) = (declared(&library), declared(&rest), declared(&part));
    let named: HashSet<&str> = rest.iter().copied().collect();
    let reaches = part.iter().any(|word| ours.contains(word) && !open.contains(word));
    let shadows = theirs.iter().any(|name| named.contains(name) && !ASKED.contains(name));
    let has_variables = part.windows(2).any(|pair| pair == ["var", "<"]) || variables_at_module_scope(&part);
    let sets_ours = constants.iter().any(|(name, _)| !theirs.contains(name));
    !reaches && !shadows && !has_variables && !sets_ours && indices_are_constant(&part)
}

/// The words and signs of WGSL without its comments; `None` for a text that others may take apart in another way.
fn words(text: &str) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if rest.starts_with("//") {
            let line = rest.split('\n').next().unwrap_or(rest);
            // Unicode knows more ends of lines, at which a comment would be over.
            let ends = |c: char| (c.is_control() && c != '\t') || ['\u{2028}', '\u{2029}'].contains(&c);
            if line.trim_end_matches('\r').contains(ends) {
                return None;
            }
            rest = &rest[line.len()..];
        } else if rest.starts_with("/*") {
            return None;
        } else if is_word(first) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            words.push(&rest[..length]);
            rest = &rest[length..];
        } else if first.is_ascii_graphic() {
            words.push(&rest[..1]);
            rest = &rest[1..];
        } else if [' ', '\t', '\n', '\r'].contains(&first) {
            rest = &rest[1..];
        } else {
            return None;
        }
    }
    Some(words)
}

/// Each word with the number of braces that are open before it.
fn with_depth<'a, 't>(words: &'a [&'t str]) -> impl Iterator<Item = (usize, isize, &'t str)> + 'a {
    let mut depth = 0;
    words.iter().enumerate().map(move |(at, &word)| {
        let before = depth;
        depth += match word {
            "{" => 1,
            "}" => -1,
            _ => 0,
        };
        (at, before, word)
    })
}

fn is_balanced(words: &[&str]) -> bool {
    let closes_too_much = with_depth(words).any(|(_, depth, word)| word == "}" && depth < 1);
    let count = |brace| words.iter().filter(|&&word| word == brace).count();
    !closes_too_much && count("{") == count("}")
}

fn variables_at_module_scope(words: &[&str]) -> bool {
    with_depth(words).any(|(_, depth, word)| depth == 0 && word == "var")
}

/// The names that a text declares at module scope.
fn declared<'t>(words: &[&'t str]) -> HashSet<&'t str> {
    let name = |(at, depth, word): (usize, isize, &str)| match word {
        "fn" | "const" | "override" | "struct" | "alias" if depth == 0 => words.get(at + 1).copied(),
        // `var<storage, read> name`
        "var" if depth == 0 => words[at..].iter().skip_while(|&&word| word != ">").nth(1).copied(),
        _ => None,
    };
    with_depth(words).filter_map(name).collect()
}

/// True if every index is a number, or a constant of the text whose name means nothing else anywhere in it.
fn indices_are_constant(words: &[&str]) -> bool {
    let follows = |keyword: &str, name: &str| words.windows(2).any(|pair| pair == [keyword, name]);
    // A parameter, a member, or a variable with a type.
    let is_typed = |name: &str| words.windows(3).any(|three| three[0] != "const" && three[1..] == [name, ":"]);
    let is_bound =
        |name: &str| ["let", "var", "override"].iter().any(|keyword| follows(keyword, name)) || is_typed(name);
    let is_number = |word: &str| {
        let digits = word.trim_end_matches(['u', 'i']);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut starts = (0..words.len()).filter(|&at| words[at] == "[");
    starts.all(|at| match words.get(at + 1..at + 3) {
        Some(&[index, "]"]) => is_number(index) || (follows("const", index) && !is_bound(index)),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::environments::{Acrobot, CartPole, CartPoleSwingUp, KeyToDoor, Pendulum};
    use crate::rollout::policies::{AttentionNeuron, Linear};
    use crate::rollout::unroll::{Composition, WeightStorage};

    /// A user's world of any text, on two numbers; the name of its file, and the constant that it sets.
    #[derive(Debug)]
    struct World(String, &'static str, &'static str);

    impl Environment for World {
        fn file(&self) -> &str {
            self.1
        }
        fn source(&self) -> &str {
            &self.0
        }
        fn states(&self) -> usize {
            2
        }
        fn observations(&self) -> usize {
            2
        }
        fn actions(&self) -> usize {
            1
        }
        fn horizon(&self) -> usize {
            10
        }
        fn constants(&self) -> Vec<(&'static str, f64)> {
            vec![(self.2, 2.0)]
        }
        fn reset(&self, _: &mut EpisodeRandom, _: &mut [f64]) {}
        fn observe(&self, _: &[f64], _: &mut [f64]) {}
        fn step(&self, _: &mut [f64], _: &[f64], _: &mut EpisodeRandom) -> Outcome {
            Outcome { reward: 0.0, done: false }
        }
    }

    const SPRING: &str = "
// The pull of a spring, by Hooke's law: F = -k x, k in N/m (\u{3ba} is another letter).
const SPEED = 1u;
override STIFFNESS: f32 = 1.0;

fn pull(x: f32) -> f32 { return -STIFFNESS * x; }

fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    return array<f32, STATE>(random_uniform(random), 0.0);
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    return state;
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    (*state)[SPEED] += 0.1 * (clamp(action[0], -1.0, 1.0) + pull((*state)[0]));
    (*state)[0] += 0.1 * (*state)[SPEED];
    return Outcome(-abs((*state)[0]), abs((*state)[0]) > 3.0);
}
";

    /// The spring's file and constant beside another text.
    fn world(text: impl Into<String>) -> World {
        World(text.into(), "world.wgsl", "STIFFNESS")
    }

    /// True if a world is compiled without checks in an unroll with the attention neuron.
    fn is_seen(world: World) -> bool {
        let composition = Composition::new(world, AttentionNeuron::cart_pole());
        assert!(!composition.is_unchecked());
        composition.without_needless_checks().is_unchecked()
    }

    #[test]
    fn arithmetic_on_numbers_of_its_own_is_compiled_without_checks() {
        assert!(is_seen(world(SPRING)));
        assert!(is_seen(world(SPRING.replace('\n', "\r\n"))));
        for source in [CartPole.source(), CartPoleSwingUp::default().source(), Pendulum.source(), Acrobot.source()] {
            let text = format!("{source}\noverride STIFFNESS: f32 = 1.0;\n");
            assert_eq!(is_seen(world(text)), !source.contains("for ("), "{source}");
        }
    }

    #[test]
    fn code_that_could_do_harm_is_compiled_with_checks() {
        let line = "    (*state)[0] += 0.1 * (*state)[SPEED];\n";
        let harmful = [
            // It never ends.
            "loop { if action[0] > 2.0 { break; } }",
            "while action[0] < 2.0 { }",
            "for (var i = 0; i < 2; i++) { }",
            // Anything may be behind an index that is no constant.
            "let i = u32(action[0]); (*state)[i] = 0.0;",
            "(*state)[u32(action[0])] = 0.0;",
            "(*state)[0 + i32(action[0])] = 0.0;",
            "let SPEED = u32(action[0]); (*state)[SPEED] = 0.0;",
            "let v = vec2(action[0])[u32(action[0])];",
            // The kernel's indices, its buffers, and its functions that read them.
            "member = 1000000u;",
            "saved[0] = 1.0;",
            "let w = weight(1000000u);",
            "let t = table(1000000u);",
            "let g = unroll.groups;",
        ];
        for code in harmful {
            assert!(!is_seen(world(SPRING.replace(line, &format!("{line}{code}\n")))), "{code}");
        }
        let declarations = [
            // Words of the kernel that would mean something else.
            "fn min(a: u32, b: u32) -> u32 { return 1000000u; }",
            "alias f32 = u32;",
            "struct array { x: u32 }",
            "const select = 1;",
            // Variables, which reach buffers or are not zeroed without checks.
            "var<workgroup> shelf: array<u32, 64>;",
            "var<private> seen: u32;",
            "@group(0) @binding(0) var<storage, read_write> all: array<u32>;",
            "var picture: texture_2d<f32>;",
            // Texts that compilers may take apart otherwise.
            "/* a comment */",
            "// a comment \u{2028} var<private> seen: u32;",
            "// a comment \u{85} var<private> seen: u32;",
            "// a comment \r var<private> seen: u32;",
            "const \u{3ba} = 1;",
            "}",
            "fn open() {",
            "fn other(SPEED: u32) -> f32 { return vec2(1.0)[SPEED]; }",
        ];
        for code in declarations {
            assert!(!is_seen(world(format!("{SPRING}{code}\n"))), "{code}");
        }
        // The file's name stands in a comment; a constant may be the kernel's.
        assert!(!is_seen(World(SPRING.into(), "world.wgsl\nfn min(a: u32, b: u32) -> u32 { return a; }", "STIFFNESS")));
        assert!(!is_seen(World(SPRING.into(), "world.wgsl", "WORKGROUP")));
    }

    #[test]
    fn a_world_that_was_seen_in_one_kernel_is_checked_in_others() {
        let seen = Composition::new(world(SPRING), AttentionNeuron::cart_pole()).without_needless_checks();
        assert!(seen.is_unchecked());
        let other = Composition { policy: Arc::new(Linear), ..seen };
        assert!(!other.is_unchecked());
        assert!(other.without_needless_checks().is_unchecked());
    }

    #[test]
    fn the_library_that_a_text_may_use_is_straight_line_itself() {
        for text in LIBRARY {
            let words = words(text).unwrap();
            assert!(["loop", "for", "while", "[", "@"].iter().all(|sign| !words.contains(sign)), "{text}");
            assert!(!variables_at_module_scope(&words), "{text}");
        }
    }

    #[test]
    fn only_worlds_of_a_user_s_are_replaced_and_their_kernel_stays_the_same() {
        let composition = Composition::new(world(SPRING), Linear);
        let unchecked = composition.without_needless_checks();
        assert!(format!("{:?}", unchecked.environment).starts_with("StraightLine"));
        assert_eq!(unchecked.wgsl(WeightStorage::Private), composition.wgsl(WeightStorage::Private));
        let own = Composition::new(KeyToDoor::full(), Linear).without_needless_checks();
        assert!(format!("{:?}", own.environment).starts_with("KeyToDoor"));
    }
}
