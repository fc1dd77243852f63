package token

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"
)

// A short run, with -short, kills less often.
var kills = flag.Int("kills", 1000, "how often TestKilled kills the process that spends")

const (
	spenderEnv  = "TOKEN_TEST_SPENDER"
	spenderFrom = "TOKEN_TEST_FROM"
	spenders    = 8
)

// spendUntilKilled is the process that is killed: it spends key after key in
// the folder, and prints the number of each that was acknowledged.
func spendUntilKilled(dir string) {
	from, err := strconv.Atoi(os.Getenv(spenderFrom))
	if err != nil {
		panic(err)
	}
	s, err := OpenSpent(dir, SpentConfig{})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	var next atomic.Int64
	next.Store(int64(from))
	for range spenders {
		go func() {
			for {
				n := int(next.Add(1)) - 1
				err := s.Spend(context.Background(), testEpoch(n), testKey(n))
				switch {
				case err == nil:
					fmt.Println(n)
				case !errors.Is(err, ErrSpent):
					fmt.Println("spend:", err)
					os.Exit(1)
				}
			}
		}()
	}
	select {}
}

func testEpoch(n int) uint64 { return uint64(n/50) % 3 }

// No acknowledged token is lost, and none is spent twice, whenever the process
// is killed.
func TestKilled(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	spent := map[int]bool{}
	highest := 0
	lives := *kills
	if testing.Short() {
		lives = min(lives, 25)
	}
	for kill := range lives {
		for _, n := range spendAndKill(t, dir, max(0, highest-4*spenders), random.IntN(80)) {
			if spent[n] {
				t.Fatalf("seed %d, kill %d: key %d was spent twice", seed, kill, n)
			}
			spent[n] = true
			highest = max(highest, n)
		}
		// Sometimes the next process finds the folder just as this one left it.
		if kill%2 == 0 || kill == lives-1 {
			checkSpent(t, dir, spent)
		}
		if t.Failed() {
			t.Fatalf("seed %d, kill %d", seed, kill)
		}
	}
	t.Logf("%d tokens were acknowledged in %d lives", len(spent), lives)
}

// spendAndKill returns the keys that a process acknowledged until it was killed,
// which is soon after the nth.
func spendAndKill(t *testing.T, dir string, from, n int) []int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), spenderEnv+"="+dir, spenderFrom+"="+strconv.Itoa(from))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged []int
	lines := bufio.NewReader(out)
	for {
		if len(acknowledged) == n {
			cmd.Process.Kill() //nolint:errcheck // it is killed once
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line without its end was not acknowledged
		}
		key, err := strconv.Atoi(line[:len(line)-1])
		if err != nil {
			t.Errorf("the process said: %s", line)
			break
		}
		acknowledged = append(acknowledged, key)
	}
	cmd.Process.Kill() //nolint:errcheck // it may be dead
	cmd.Wait()         //nolint:errcheck // it was killed
	return acknowledged
}

func checkSpent(t *testing.T, dir string, spent map[int]bool) {
	t.Helper()
	s := mustOpen(t, dir, SpentConfig{})
	for n := range spent {
		if err := s.Spend(t.Context(), testEpoch(n), testKey(n)); !errors.Is(err, ErrSpent) {
			t.Errorf("key %d was acknowledged, and now: %v", n, err)
		}
	}
	mustClose(t, s)
}
