package tinker

import (
	"os/exec"
	"testing"
)

// TestProverif runs the symbolic models of docs/spec/proverif and compares
// the results of their queries with those that are expected.
func TestProverif(t *testing.T) {
	if _, err := exec.LookPath("proverif"); err != nil {
		t.Skip("proverif is not installed")
	}
	if testing.Short() {
		t.Skip("the models take minutes")
	}
	out, err := exec.CommandContext(t.Context(), "sh", "../docs/spec/proverif/run.sh").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("run.sh: %v", err)
	}
}
