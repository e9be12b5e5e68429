//! The page of a run in a browser: from disk, with the network off.
//!
//! A browser that is not installed shows nothing; where all programs must be there (HOLDLINE_REQUIRE_SUPERVISORS=1),
//! that is a failure.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Place, beside_others, is_installed, stderr};

/// Stands before everything else of the page, and writes down what goes wrong.
const LISTENS: &str = "<script>
window.wrong = [];
addEventListener('error', (event) => wrong.push(String(event.message)));
addEventListener('unhandledrejection', (event) => wrong.push(String(event.reason)));
for (const kind of ['error', 'warn']) console[kind] = (...words) => wrong.push(words.join(' '));
</script>";

/// Does what a reader would, and leaves what came of it in the page.
const READS: &str = "<script>
async function read(found) {
  const pause = () => new Promise((done) => setTimeout(done, 60));
  const table = document.querySelector('table.sums'), button = table.querySelectorAll('thead button')[3];
  const column = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[3].textContent));
  const sorted = () => [button.closest('th').getAttribute('aria-sort'), column()];
  button.click(); found.once = sorted();
  button.focus(); found.focused = document.activeElement === button;
  button.click(); found.twice = sorted();
  const links = [...document.querySelectorAll('a.mark')];
  found.cells = links.map((link) => link.textContent);
  location.hash = links.filter((link) => link.textContent.endsWith(' lost')).pop().getAttribute('href');
  for (let i = 0; i < 50 && !document.querySelector('details[open] .u-over'); i++) await pause();
  const trial = document.querySelector('details.trial[open]');
  found.opened = '#' + trial.id === location.hash;
  found.charts = trial.querySelectorAll('.uplot canvas').length;
  const over = trial.querySelector('.u-over'), at = over.getBoundingClientRect();
  const data = JSON.parse(trial.querySelector('.live + script').textContent);
  found.attempts = data.n;
  found.tip = '';
  for (let x = 2; x < at.width && !found.tip; x += 4) for (let y = 2; y < at.height; y += 8) {
    over.dispatchEvent(new MouseEvent('mousemove', { bubbles: true, clientX: at.left + x, clientY: at.top + y, movementX: 1, movementY: 1 }));
    const tip = trial.querySelector('.tip');
    if (!tip.hidden) { found.tip = tip.textContent; break; }
  }
  await pause();
  found.wide = document.documentElement.scrollWidth;
}
addEventListener('load', async () => {
  const found = {}, out = document.createElement('pre');
  await read(found).catch((error) => wrong.push(String(error)));
  found.wrong = wrong;
  out.id = 'found';
  out.textContent = JSON.stringify(found);
  document.body.replaceChildren(out);
});
</script>";

/// What is found on a page by a window of this width.
#[track_caller]
fn found(place: &Place, page: &str, width: u32) -> Value {
    let page = page.replacen("<head>", &format!("<head>{LISTENS}"), 1);
    let page = page.replacen("</body>", &format!("{READS}</body>"), 1);
    let file = place.write(&format!("page-{width}.html"), &page);
    let mut browser = Command::new("chromium");
    browser.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    browser.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    // No name is found, and no address is reached.
    browser.args(["--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9"]);
    browser.arg(format!("--user-data-dir={}", place.path("profile").display()));
    browser.arg(format!("--window-size={width},1000")).args(["--virtual-time-budget=20000", "--dump-dom"]);
    browser.arg(format!("file://{}", file.display()));
    let output = assert_cmd::Command::from_std(browser).timeout(Duration::from_secs(120)).output();
    let output = output.expect("the browser runs");
    let dom = String::from_utf8_lossy(&output.stdout);
    let text = dom.split_once("<pre id=\"found\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (text, _) = text.unwrap_or_else(|| panic!("{dom}{}", stderr(&output)));
    let text = text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_page_is_read_in_a_browser() {
    if !is_installed("chromium") {
        return;
    }
    let place = Place::new();
    let run = ["crash", "restart", "-s", "prefork", "-s", "restart-loop", "-s", "bare", "-o", "out"];
    let measuring = beside_others();
    let output = place.holdline(&run).output().expect("holdline runs");
    drop(measuring);
    let page = std::fs::read_to_string(place.path("out/report.html"))
        .unwrap_or_else(|_| panic!("{}", stderr(&output)));
    for width in [1280, 1440] {
        let found = found(&place, &page, width);
        assert_eq!(found["wrong"], Value::Array(Vec::new()), "{found:#}");
        let sorted = |which: &str| {
            let numbers = found[which][1].as_array().into_iter().flatten();
            numbers.filter_map(Value::as_u64).collect::<Vec<_>>()
        };
        assert_eq!((&found["once"][0], &found["twice"][0]), (&"ascending".into(), &"descending".into()));
        assert!(sorted("once").len() == 3 && sorted("once").is_sorted(), "{found:#}");
        assert!(sorted("twice").iter().rev().is_sorted(), "{found:#}");
        assert_eq!((&found["focused"], &found["opened"]), (&true.into(), &true.into()), "{found:#}");
        let cells = found["cells"].as_array().expect("cells");
        assert!(
            cells.iter().any(|cell| cell.as_str().is_some_and(|text| text.ends_with(" lost"))),
            "{found:#}"
        );
        assert!(found["charts"].as_u64().is_some_and(|charts| charts >= 2), "{found:#}");
        assert!(found["attempts"].as_u64().is_some_and(|attempts| attempts > 0), "{found:#}");
        for instant in ["due", "started", "connected", "accepted", "ended"] {
            assert!(found["tip"].as_str().is_some_and(|tip| tip.contains(instant)), "{found:#}");
        }
        assert!(found["wide"].as_u64().is_some_and(|wide| wide <= width.into()), "{found:#}");
    }
}
