//! What CI runs: the steps of `action.yml`, and the manifests of many machines, each played as its runner would.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Place, read_result};
use serde_json::{Value, json};

/// Twenty attempts without a fault, and all the time in the world.
const STORY: &str = "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"2ms\" }\n\
                     attempts = 20\nsend-lag = \"4s\"\ndeadline = \"4s\"\n";

/// The same with a crash that costs whoever's listener dies with its worker, however busy the machine is.
const CRASH: &str = "name = \"y\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"2ms\" }\n\
                     attempts = 20\nsend-lag = \"4s\"\ndeadline = \"4s\"\n\
                     [[fault]]\nat = { attempt = 5 }\npoison = { step = \"work\", mode = \"panic\" }\n\
                     [expect]\ncollateral = 0\n";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Starts the step of the action that runs holdline, as GitHub does.
fn action(place: &Place, verb: &str, arguments: &str) -> (Output, String, String) {
    let (outputs, summary) = (place.path("outputs"), place.path("summary"));
    for file in [&outputs, &summary] {
        std::fs::write(file, "").expect("an empty file");
    }
    let output = Command::new(repository("harness/ci/action.sh"))
        .arg("run")
        .current_dir(place.path("."))
        .env("HOLDLINE_BIN", env!("CARGO_BIN_EXE_holdline"))
        .env("VERB", verb)
        .env("ARGUMENTS", arguments)
        .env("OUT", place.path("out"))
        .env("ANNOTATIONS", "true")
        .env("GITHUB_OUTPUT", &outputs)
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .expect("bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |file| std::fs::read_to_string(file).expect("a file");
    (output, read(&outputs), read(&summary))
}

/// The annotations among what was printed: each is a line of its own.
fn annotations(printed: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(printed).expect("UTF-8");
    text.lines().filter(|line| line.starts_with("::")).map(str::to_owned).collect()
}

#[test]
fn a_failed_run_has_outputs_a_summary_and_annotations() {
    let place = Place::new();
    std::fs::create_dir(place.path("a folder")).expect("a folder");
    std::fs::write(place.path("a folder/x.toml"), STORY).expect("a scenario");
    std::fs::write(place.path("y.toml"), CRASH).expect("a scenario");
    let (output, outputs, summary) = action(
        &place,
        "run",
        "./y.toml './a folder/x.toml' \"-s\" bare\n-s held-socket -s '$(touch expanded)*'",
    );
    assert!(outputs.lines().any(|line| line == "exit-code=4"), "{outputs}");
    assert_eq!(annotations(&output.stdout).len(), 1, "{output:?}");
    assert!(!place.path("expanded").exists() && !outputs.contains("directory="), "{outputs}");
    assert!(!summary.is_empty());

    let (output, outputs, summary) =
        action(&place, "run", "./y.toml './a folder/x.toml' \"-s\" bare\n-s held-socket -r 2");
    assert!(outputs.lines().any(|line| line == "exit-code=1"), "{outputs}");
    assert!(outputs.contains(&format!("directory={}", place.path("out").display())), "{outputs}");
    assert_eq!(summary, std::fs::read_to_string(place.path("out/report.md")).expect("a report"));
    let [annotation] = &annotations(&output.stdout)[..] else { panic!("{output:?}") };
    assert!(annotation.starts_with("::error title=y x bare%3A down in 2 trials::"), "{annotation}");
    assert_eq!(read_result(&place.path("out/run.json")).trials.len(), 8);
}

#[test]
fn what_passes_is_not_annotated_and_a_wrong_baseline_is() {
    let place = Place::new();
    std::fs::write(place.path("x.toml"), STORY).expect("a scenario");
    let (output, outputs, _) = action(&place, "gate", "--save-baseline b.json ./x.toml -s prefork -r 3");
    assert!(outputs.contains("exit-code=0"), "{outputs} {output:?}");
    assert_eq!(annotations(&output.stdout), Vec::<String>::new());
    std::fs::remove_dir_all(place.path("out")).expect("a run directory");
    let (output, outputs, _) = action(&place, "gate", "--baseline absent.json");
    assert!(outputs.contains("exit-code=2"), "{outputs}");
    assert_eq!(annotations(&output.stdout).len(), 1);
}

#[test]
fn there_are_ten_annotations_at_most_and_nothing_in_them_is_a_command() {
    let place = Place::new();
    let regression = |number: u32| {
        json!({ "scenario": "a,b", "supervisor": format!("web\n::stop-commands::{number}"), "metric": "100%",
                "baseline": 0, "measured": 1.5, "repeat": "holdline\r\n::error::x" })
    };
    for count in [1, 10, 11, 40] {
        let regressions: Vec<Value> = (0..count).map(regression).collect();
        let gate = json!({ "regressions": regressions, "undecided": [] });
        std::fs::write(place.path("gate.json"), gate.to_string()).expect("a result");
        let script = repository("harness/ci/annotate.py");
        let output =
            Command::new("python3").arg(script).arg(place.path(".")).arg("1").output().expect("python3");
        assert!(output.status.success(), "{output:?}");
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let is_escaped = |line: &[u8]| line.starts_with(b"::error title=") && !line.contains(&b'\r');
        assert!(lines.clone().all(is_escaped), "{output:?}");
        assert_eq!(lines.count(), count.min(10) as usize);
        assert!(count > 10 || String::from_utf8_lossy(&output.stdout).contains("a%2Cb x web%0A%3A%3Astop"));
    }
}

/// The arguments of each container of the manifest: they stand in JSON there.
fn arguments(manifest: &str) -> Vec<Vec<String>> {
    let of = |line: &str| serde_json::from_str(line.trim().strip_prefix("args: ")?).ok();
    manifest.lines().filter_map(of).collect()
}

#[test]
fn an_indexed_job_of_kubernetes_measures_each_trial_once() {
    let place = Place::new();
    std::fs::write(place.path("x.toml"), STORY).expect("a scenario");
    let manifest = std::fs::read_to_string(repository("examples/kubernetes/job.yaml")).expect("the manifest");
    let [part, whole] = &arguments(&manifest)[..] else { panic!("{manifest}") };
    let results = place.path("").display().to_string();
    let completions: u32 = manifest
        .lines()
        .find_map(|line| line.trim().strip_prefix("completions: "))
        .and_then(|number| number.parse().ok())
        .expect("completions");
    let in_environment = format!("- name: JOB_COMPLETIONS\n              value: \"{completions}\"");
    assert!(manifest.contains(&in_environment), "{manifest}");
    for index in (0..completions).map(|index| index.to_string()) {
        // As the kubelet expands them; two supervisors, and one scenario, instead of all there are.
        let expanded = part.iter().map(|argument| {
            argument.replace("$(JOB_COMPLETION_INDEX)", &index).replace("/results/", &results)
        });
        let arguments: Vec<String> =
            expanded.map(|it| if it == "all" { "./x.toml".into() } else { it }).collect();
        let output = place
            .holdline(&[])
            .args(&arguments)
            .args(["-s", "prefork", "-s", "held-socket"])
            .env("JOB_COMPLETION_INDEX", &index)
            .env("JOB_COMPLETIONS", completions.to_string())
            .output()
            .expect("holdline runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    place.holdline(&[]).args(whole.iter().map(|it| it.replace("/results/", &results))).assert().code(0);
    is_whole(&place.path("whole"));
}

#[test]
fn an_array_of_slurm_measures_each_trial_once() {
    let place = Place::new();
    std::fs::write(place.path("x.toml"), STORY).expect("a scenario");
    let script = repository("examples/ci/slurm.sh");
    let text = std::fs::read_to_string(&script).expect("the script");
    assert!(text.contains("#SBATCH --array=1-3"), "{text}");
    for task in ["1", "2", "3"] {
        let output = Command::new("bash")
            .arg(&script)
            .args(["./x.toml", "-s", "prefork", "-s", "held-socket"])
            .current_dir(place.path("."))
            .env("HOLDLINE_BIN", env!("CARGO_BIN_EXE_holdline"))
            .env("SLURM_ARRAY_TASK_ID", task)
            .env("SLURM_ARRAY_TASK_COUNT", "3")
            .output()
            .expect("bash");
        assert!(output.status.success(), "{output:?}");
    }
    place.holdline(&["merge", "part-1", "part-2", "part-3", "--out", "whole"]).assert().code(0);
    is_whole(&place.path("whole"));
}

/// Five repetitions over two supervisors, none missing.
fn is_whole(dir: &Path) {
    let result = read_result(&dir.join("run.json"));
    assert!(result.complete);
    let mut names: Vec<(&str, u32)> =
        result.trials.iter().map(|trial| (trial.supervisor.as_str(), trial.repetition)).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), result.trials.len(), result.manifest.planned), (10, 10, 10));
}
