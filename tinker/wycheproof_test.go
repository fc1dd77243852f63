package tinker

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/c2sp/wycheproof"
)

// Wycheproof's vectors go through what the suites call. A vector is valid,
// invalid, or acceptable: then the check for its primitive says by the flags
// which of the two it has to be.

// A tally is a row of the table that the test prints.
type tally struct {
	primitive, file, through   string
	valid, invalid, acceptable int
	skipped                    map[string]int // by reason
}

// count notes a vector that was run.
func (c *tally) count(result string) {
	switch result {
	case "valid":
		c.valid++
	case "invalid":
		c.invalid++
	case "acceptable":
		c.acceptable++
	}
}

func (c *tally) skip(reason string) {
	if c.skipped == nil {
		c.skipped = make(map[string]int)
	}
	c.skipped[reason]++
}

func (c *tally) total() int {
	n := c.valid + c.invalid + c.acceptable
	for _, s := range c.skipped {
		n += s
	}
	return n
}

// A wycheproofCase is what vectors of all files have.
type wycheproofCase struct {
	ID     int      `json:"tcId"`
	Flags  []string `json:"flags"`
	Result string   `json:"result"`
}

func (c wycheproofCase) has(flag string) bool { return slices.Contains(c.Flags, flag) }

func (c wycheproofCase) common() wycheproofCase { return c }

// eachVector calls check with each vector of a file and its group. check says
// whether the vector was taken, and why it was left out, if it was. The rule
// says for an acceptable vector whether it must be taken.
func eachVector[Group any, Case interface{ common() wycheproofCase }](
	t *testing.T, c *tally, rule func(wycheproofCase) bool, check func(Group, Case) (taken bool, skip string),
) {
	t.Helper()
	file := readWycheproof(t, c.file)
	for _, raw := range file.TestGroups {
		var group Group
		var tests struct{ Tests []Case }
		decode(t, raw, &group)
		decode(t, raw, &tests)
		for _, test := range tests.Tests {
			v := test.common()
			want := v.Result == "valid" || v.Result == "acceptable" && rule(v)
			taken, skip := check(group, test)
			switch {
			case skip != "":
				c.skip(skip)
				continue
			case taken != want:
				t.Errorf("%s, vector %d, %s %v: taken %v, want %v", c.file, v.ID, v.Result, v.Flags, taken, want)
			}
			c.count(v.Result)
		}
	}
	if c.total() != file.NumberOfTests || c.valid == 0 {
		t.Errorf("%s: %d of %d vectors, %d of them valid", c.file, c.total(), file.NumberOfTests, c.valid)
	}
}

// leaveOut is for files that none of the suites' inputs fit.
func leaveOut(reason string) func(*testing.T, *tally) {
	return func(t *testing.T, c *tally) {
		c.skipped = map[string]int{reason: readWycheproof(t, c.file).NumberOfTests}
	}
}

type wycheproofFile struct {
	NumberOfTests int
	TestGroups    []json.RawMessage
}

func readWycheproof(t *testing.T, name string) (file wycheproofFile) {
	t.Helper()
	b, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	decode(t, b, &file)
	return file
}

func decode(t *testing.T, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

// never is the rule for files without acceptable vectors, and for encodings
// that the suites do not have.
func never(wycheproofCase) bool { return false }

func TestWycheproof(t *testing.T) {
	expanded := leaveOut("with an expanded private key, which Go does not have")
	encoded := leaveOut("in an encoding that the suites do not have")
	runs := []struct {
		tally
		run func(*testing.T, *tally)
	}{
		{tally{primitive: "ML-KEM-768", file: "mlkem_768_test.json", through: "KEM of TK1"}, decapsulation(TK1)},
		{tally{primitive: "ML-KEM-768", file: "mlkem_768_encaps_test.json", through: "public key of TK1; secret: crypto/mlkem"}, encapsulation(TK1)},
		{tally{primitive: "ML-KEM-768", file: "mlkem_768_keygen_seed_test.json", through: "KEM of TK1"}, keyGeneration(TK1)},
		{tally{primitive: "ML-KEM-1024", file: "mlkem_1024_test.json", through: "KEM of TK3"}, decapsulation(TK3)},
		{tally{primitive: "ML-KEM-1024", file: "mlkem_1024_encaps_test.json", through: "public key of TK3; secret: crypto/mlkem"}, encapsulation(TK3)},
		{tally{primitive: "ML-KEM-1024", file: "mlkem_1024_keygen_seed_test.json", through: "KEM of TK3"}, keyGeneration(TK3)},
		{tally{primitive: "X25519", file: "x25519_test.json", through: "KEM of TK1"}, exchange(TK1)},
		{tally{primitive: "P-384", file: "ecdh_secp384r1_ecpoint_test.json", through: "KEM of TK3"}, exchange(TK3)},
		{tally{primitive: "AES-256-GCM", file: "aes_gcm_test.json", through: "newAEAD of TK1 and TK3"}, aeads(TK1, TK3)},
		{tally{primitive: "ChaCha20-Poly1305", file: "chacha20_poly1305_test.json", through: "newAEAD of TK2"}, aeads(TK2)},
		{tally{primitive: "HKDF-SHA256", file: "hkdf_sha256_test.json", through: "extract of TK1, TK2; Expand with their hash"}, hkdfs(TK1, TK2)},
		{tally{primitive: "HKDF-SHA384", file: "hkdf_sha384_test.json", through: "extract of TK3; Expand with its hash"}, hkdfs(TK3)},
		{tally{primitive: "HMAC-SHA256", file: "hmac_sha256_test.json", through: "HMAC with the hash of TK1, TK2"}, hmacs(TK1, TK2)},
		{tally{primitive: "HMAC-SHA384", file: "hmac_sha384_test.json", through: "HMAC with the hash of TK3"}, hmacs(TK3)},
		{tally{primitive: "Ed25519", file: "ed25519_test.json", through: "crypto/ed25519, and x/mod's note as in policy"}, signatures},
		{tally{primitive: "ML-KEM-768", file: "mlkem_768_semi_expanded_decaps_test.json"}, expanded},
		{tally{primitive: "ML-KEM-1024", file: "mlkem_1024_semi_expanded_decaps_test.json"}, expanded},
		{tally{primitive: "X25519", file: "x25519_asn_test.json"}, encoded},
		{tally{primitive: "X25519", file: "x25519_jwk_test.json"}, encoded},
		{tally{primitive: "X25519", file: "x25519_pem_test.json"}, encoded},
		{tally{primitive: "P-384", file: "ecdh_secp384r1_test.json"}, encoded},
		{tally{primitive: "P-384", file: "ecdh_secp384r1_pem_test.json"}, encoded},
		{tally{primitive: "P-384", file: "ecdh_secp384r1_webcrypto_test.json"}, encoded},
	}
	t.Run("files", func(t *testing.T) {
		for i := range runs {
			r := &runs[i]
			t.Run(strings.TrimSuffix(r.file, "_test.json"), func(t *testing.T) {
				t.Parallel()
				r.run(t, &r.tally)
			})
		}
	})
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "primitive\tfile\tthrough\tvalid\tinvalid\tacceptable\tskipped")
	for _, r := range runs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n",
			r.primitive, r.file, r.through, r.valid, r.invalid, r.acceptable, reasons(r.skipped))
	}
	w.Flush()
	t.Logf("Wycheproof's vectors:\n%s", table.String())
}

func reasons(skipped map[string]int) string {
	if len(skipped) == 0 {
		return "0"
	}
	var all []string
	for _, reason := range slices.Sorted(maps.Keys(skipped)) {
		all = append(all, fmt.Sprintf("%d %s", skipped[reason], reason))
	}
	return strings.Join(all, ", ")
}
