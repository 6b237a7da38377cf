//! The pool of plugins, with the plugin of `examples/toy`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use andon_provider::{
    Configured, Key, Listener, Plugin, Pool, PoolFailure, ReadRequest, SchemaCache, Source, StartSettings,
};
use andon_schema::ProviderSchema;
use andon_value::{Marks, Type, Value};
use tempfile::TempDir;

use crate::toy::{load, thing, things};

struct World {
    _directory: TempDir,
    schema: ProviderSchema,
    source: Source,
    pool: Arc<Pool>,
    /// How many processes were started.
    started: Arc<AtomicUsize>,
}

impl World {
    fn new(way: &str) -> World {
        let (directory, schema, plugin) = load(way, &things());
        let source = plugin.source().clone();
        drop(plugin);
        let started = Arc::new(AtomicUsize::new(0));
        // Each process says this once.
        let listener = Listener::new({
            let started = started.clone();
            move |line| {
                if line.message == "said inside" {
                    started.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let settings = StartSettings { listener: Some(listener), ..StartSettings::default() };
        World { _directory: directory, schema, source, pool: Arc::new(Pool::new(settings)), started }
    }

    fn key(&self, region: Value) -> Key {
        Key::new(self.source.clone(), &Value::object([("region", region)]))
    }

    fn get(&self, region: Value) -> Result<Configured, Arc<PoolFailure>> {
        self.pool.configured(&self.key(region), &self.schema)
    }

    fn read(&self, plugin: &Plugin, name: &str) -> Result<(), String> {
        let schema = &self.schema.resources["toy_thing"];
        let state = &thing(&self.schema, &[("name", Value::from(name))]);
        let request = ReadRequest { kind: "toy_thing", schema, state, private: &[], meta: None, identity: None };
        plugin.read(&request).wait().map(drop).map_err(|error| error.to_string())
    }

    fn has_started(&self, expected: usize) {
        for _ in 0..1000 {
            if self.started.load(Ordering::Relaxed) >= expected {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.started.load(Ordering::Relaxed), expected);
    }
}

#[test]
fn equal_configurations_share_a_process() {
    for way in ["well", "ready", "five"] {
        let world = World::new(way);
        let plugins: Mutex<Vec<Arc<Plugin>>> = Mutex::default();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    // A secret is as equal as the same in clear.
                    let region = Value::from("here").mark(Marks::SENSITIVE);
                    plugins.lock().unwrap().push(world.get(region).unwrap().plugin);
                });
            }
        });
        let plugins = plugins.into_inner().unwrap();
        assert!(plugins.iter().all(|plugin| Arc::ptr_eq(plugin, &plugins[0])));
        let other = world.get(Value::unknown(Type::String)).unwrap();
        assert!(!Arc::ptr_eq(&other.plugin, &plugins[0]));
        world.read(&other.plugin, "x").unwrap();
        world.has_started(2);
    }
}

#[test]
fn one_that_is_not_configured_yet_becomes_one_that_is() {
    let world = World::new("well");
    let plain = world.pool.unconfigured(&world.source, &world.schema).unwrap();
    let again = world.pool.unconfigured(&world.source, &world.schema).unwrap();
    assert!(Arc::ptr_eq(&plain, &again));
    let far = world.get(Value::from("far")).unwrap();
    assert!(Arc::ptr_eq(&plain, &far.plugin));
    assert_eq!(far.warnings.iter().map(|it| it.summary.as_str()).collect::<Vec<_>>(), ["that is far"]);
    assert!(!Arc::ptr_eq(&plain, &world.get(Value::from("here")).unwrap().plugin));
    world.has_started(2);

    // One that was started for its schemas is not started again.
    let world = World::new("well");
    let Source::Program(program) = &world.source else { unreachable!() };
    let (_, plugin) = SchemaCache::new(None).load(program, &things(), StartSettings::default()).unwrap();
    world.pool.adopt(plugin.unwrap());
    let adopted = world.pool.unconfigured(&world.source, &world.schema).unwrap();
    assert!(Arc::ptr_eq(&adopted, &world.get(Value::from("here")).unwrap().plugin));
    world.has_started(0);
}

#[test]
fn a_refusal_is_told_to_all_that_want_the_same() {
    let world = World::new("well");
    for _ in 0..2 {
        let failure = world.get(Value::from("nowhere")).map(drop).unwrap_err();
        let PoolFailure::Refused(said) = &*failure else { panic!("{failure}") };
        assert_eq!(said[0].summary, "there is no region \"nowhere\"");
    }
    world.get(Value::from("here")).unwrap();
    world.has_started(2);
    let failure = world.get(Value::from("crash at ConfigureProvider")).map(drop).unwrap_err().to_string();
    assert!(failure.contains("ConfigureProvider: it crashed") && failure.contains("panic: "), "{failure}");
    let none = Key::new(Source::Program("/nonexistent/plugin".into()), &Value::NULL);
    let failure = world.pool.configured(&none, &world.schema).map(drop).unwrap_err().to_string();
    assert!(failure.contains("/nonexistent/plugin does not start"), "{failure}");
}

#[test]
fn what_crashed_is_started_again_a_few_times() {
    let world = World::new("well");
    let mut last: Option<Arc<Plugin>> = None;
    for started in 1..=4 {
        let here = world.get(Value::from("here")).unwrap().plugin;
        assert!(last.is_none_or(|last| !Arc::ptr_eq(&here, &last)));
        world.read(&here, "x").unwrap();
        // Whoever has it goes on having it, and so has everybody who asks before it crashes.
        assert!(Arc::ptr_eq(&here, &world.get(Value::from("here")).unwrap().plugin));
        assert!(!here.is_gone());
        let error = world.read(&here, "crash at ReadResource").unwrap_err();
        assert!(here.is_gone() && error.contains("panic: ReadResource was too much"), "{error}");
        last = Some(here);
        world.has_started(started);
    }
    // From now on it is left as it is.
    let here = world.get(Value::from("here")).unwrap().plugin;
    assert!(Arc::ptr_eq(&here, last.as_ref().unwrap()));
    let error = world.read(&here, "x").unwrap_err();
    assert!(error.contains("panic: ReadResource was too much"), "{error}");
    // Another configuration is another matter.
    world.read(&world.get(Value::from("there")).unwrap().plugin, "x").unwrap();
    world.has_started(5);
}

#[test]
fn what_is_finished_ends_and_may_come_again() {
    let world = World::new("well");
    let here = world.get(Value::from("here")).unwrap();
    let first = Arc::downgrade(&here.plugin);
    world.pool.finished(&world.key(Value::from("here")));
    // Somebody still holds it.
    world.read(&here.plugin, "x").unwrap();
    drop(here);
    assert!(first.upgrade().is_none());
    let here = world.get(Value::from("here")).unwrap();
    world.read(&here.plugin, "x").unwrap();
    drop(here);
    world.pool.finished(&world.key(Value::from("here")));
    world.pool.finished(&world.key(Value::from("never asked for")));
    world.has_started(2);
}

#[test]
fn all_are_stopped_killed_and_ended() {
    let world = Arc::new(World::new("well"));
    let plugins = ["a", "b", "c"].map(|region| world.get(Value::from(region)).unwrap().plugin);
    let waiting = || {
        let (told, answers) = mpsc::channel();
        for plugin in plugins.clone() {
            let (told, world) = (told.clone(), world.clone());
            thread::spawn(move || told.send(world.read(&plugin, "wait at ReadResource")).unwrap());
        }
        answers
    };
    let answers = waiting();
    world.pool.stop_all();
    // They are stopped, and answer.
    for _ in &plugins {
        answers.recv_timeout(Duration::from_secs(30)).unwrap().unwrap();
    }
    world.read(&plugins[0], "x").unwrap();
    let began = Instant::now();
    world.pool.end();
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(world.read(&plugins[0], "x").unwrap_err().contains("crashed or was stopped"));
    assert!(matches!(&*world.get(Value::from("a")).map(drop).unwrap_err(), PoolFailure::Ended));

    let world = World::new("well");
    let one = world.get(Value::from("a")).unwrap().plugin;
    world.pool.kill_all();
    assert!(world.read(&one, "x").is_err());
    assert!(matches!(&*world.get(Value::from("b")).map(drop).unwrap_err(), PoolFailure::Ended));
    assert!(world.pool.unconfigured(&world.source, &world.schema).is_err());
}
