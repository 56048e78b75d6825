//! `fourfold dt shortest-paths` as a user runs it.

mod scratch;

use std::fs;
use std::process::Output;

use serde_json::Value;

use scratch::Scratch;

fn run(scratch: &Scratch, arguments: &str) -> Output {
    let mut command = scratch.fourfold();
    command.args(["dt", "shortest-paths", "--quiet"]).args(arguments.split_whitespace()).output().unwrap()
}

#[test]
fn a_run_leaves_graphs_paths_and_pictures_and_comes_out_the_same_again() {
    let scratch = Scratch::new("dt-shortest-paths");
    for folder in ["first", "second"] {
        let output = run(&scratch, &format!("--quick --seeds 2 --out {folder}"));
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("random walk"));
    }
    let results = |folder: &str| -> Value {
        serde_json::from_slice(&fs::read(scratch.0.join(folder).join("results.json")).unwrap()).unwrap()
    };
    let first = results("first");
    let graphs = first["graphs"].as_array().unwrap();
    assert_eq!(graphs.len(), 2);
    for graph in graphs {
        let goal = graph["goal"].as_u64().unwrap();
        let edge = |from: u64, to: u64| graph["edges"][from as usize].as_array().unwrap().contains(&to.into());
        for (start, path) in graph["paths"].as_array().unwrap().iter().enumerate() {
            let nodes: Vec<u64> = path["nodes"].as_array().unwrap().iter().map(|node| node.as_u64().unwrap()).collect();
            assert_eq!(nodes[0], start as u64);
            assert!(nodes.windows(2).all(|pair| pair[0] == pair[1] || edge(pair[0], pair[1])), "{nodes:?}");
            assert!(nodes.last() == Some(&goal) || nodes.len() == 11, "{nodes:?}");
        }
        // Shortest paths are optimal; all paths begin at the same starts.
        let rows = |way: &str| graph[way]["by_distance"].as_array().unwrap().clone();
        assert!(rows("shortest").iter().all(|row| row["optimal"] == row["starts"]));
        for (shortest, path) in rows("shortest").iter().zip(rows("transformer")) {
            assert_eq!(shortest["starts"], path["starts"]);
            assert!(path["optimal"].as_u64() <= path["reached"].as_u64());
        }
        let losses = graph["losses"].as_array().unwrap();
        assert!(losses.last().unwrap().as_f64() < losses[0].as_f64(), "{losses:?}");
    }
    let paths = |results: &Value| (results["graphs"][0]["paths"].clone(), results["graphs"][1]["losses"].clone());
    assert_eq!(paths(&first), paths(&results("second")));
    for name in ["config.json", "report.md", "lengths.png", "lengths-all.png", "graph.png", "loss.png"] {
        assert!(scratch.0.join("first").join(name).exists(), "{name}");
    }
}

#[test]
fn wrong_input_is_refused_by_name() {
    let scratch = Scratch::new("dt-shortest-paths-refused");
    for (arguments, named) in [
        ("--seeds 0", "--seeds"),
        ("--dropout 1", "--dropout"),
        ("--power=-1", "--power"),
        ("--rate=-1", "rate"),
        ("--heads 3", "heads"),
    ] {
        let output = run(&scratch, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(named), "{arguments}: {said}");
        assert!(!scratch.0.join("runs").exists(), "{arguments} left a folder");
    }
}
