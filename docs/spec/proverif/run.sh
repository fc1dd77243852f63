#!/bin/sh
# Runs the models that expected.txt names, or those given, and compares the
# results of their queries with it. TIMEOUT is how many seconds a model may take.
set -eu
cd "$(dirname "$0")"

if ! command -v proverif >/dev/null 2>&1; then
	echo "proverif is not installed: no model was checked (get it from https://proverif.inria.fr, or with opam install proverif)"
	exit 0
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0
for model in ${*:-$(awk '!/^#/ && NF && !seen[$1]++ { print $1 }' expected.txt)}; do
	start=$(date +%s)
	status=0
	timeout "${TIMEOUT:-1800}" proverif -lib tinker.pvl "$model.pv" >"$out/log" 2>&1 || status=$?
	# A line "RESULT (but ...)" belongs to the one before it.
	awk '/^RESULT \(/ { next }
		/^RESULT .*cannot be proved/ { print "unproved"; next }
		/^RESULT .* is true\.?$/ { print "true"; next }
		/^RESULT .* is false\.?$/ { print "false"; next }
		/^RESULT / { print "unknown" }' "$out/log" >"$out/got"
	awk -v m="$model" '$1 == m { print $2 }' expected.txt >"$out/want"
	if [ "$status" -eq 0 ] && [ -s "$out/want" ] && cmp -s "$out/want" "$out/got"; then
		echo "ok    $model: $(wc -l <"$out/want" | tr -d ' ') queries, $(($(date +%s) - start)) s"
		continue
	fi
	failed=1
	echo "FAIL  $model (exit status $status): wanted, got"
	paste "$out/want" "$out/got" | awk '{ print "      " NR ": " $0 }'
	grep -E '^RESULT|[Ee]rror' "$out/log" || tail -n 20 "$out/log"
done
exit "$failed"
