#!/usr/bin/env bash
# What action.yml does, step by step; harness/tests/ci.rs plays it.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"

# What the executable is made of: `key=…`, by which it is cached.
key() {
  cd "$1"
  local sum
  sum="$(find . \( -name target -o -name .git \) -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)"
  echo "key=${sum:0:32}"
}

build() {
  cargo build --release --locked --package holdline --manifest-path "$1/Cargo.toml" --target-dir "$2.target"
  mkdir -p "$2"
  install "$2.target/release/holdline" "$2/holdline"
}

# Ubuntu keeps user namespaces from programs without an AppArmor profile. Where that cannot be changed, holdline says
# what it does without.
allow() {
  local switch=/proc/sys/kernel/apparmor_restrict_unprivileged_userns
  if [ -e "$switch" ] && [ "$(cat "$switch")" != 0 ]; then
    sudo -n sysctl -qw kernel.apparmor_restrict_unprivileged_userns=0 || true
  fi
}

run() {
  # As a shell splits it, but nothing in it is run.
  local arguments=()
  mapfile -d '' -t arguments < <(printf '%s' "$ARGUMENTS" | xargs printf '%s\0')
  [ -n "${ARGUMENTS//[[:space:]]/}" ] || arguments=()
  local code=0
  "$HOLDLINE_BIN" "$VERB" "${arguments[@]}" --out "$OUT" || code=$?
  {
    echo "exit-code=$code"
    [ ! -d "$OUT" ] || echo "directory=$OUT"
  } >> "$GITHUB_OUTPUT"
  summary >> "$GITHUB_STEP_SUMMARY"
  if [ "$ANNOTATIONS" = true ] && [ "$code" != 0 ]; then
    python3 "$here/annotate.py" "$OUT" "$code"
  fi
}

# The report of the verb itself, if it has one. A step's summary may have 1 MiB.
summary() {
  local report limit=1000000
  for report in gate.md compare.md fuzz.md sweep.md report.md; do
    [ -e "$OUT/$report" ] || continue
    if [ "$(stat -c %s "$OUT/$report")" -le "$limit" ]; then
      cat "$OUT/$report"
    else
      head -c "$limit" "$OUT/$report" | sed '$d'
      printf '\nThe report is longer: the artifact has it whole.\n'
    fi
    return
  done
  printf 'holdline %s measured nothing.\n' "$VERB"
}

"$@"
