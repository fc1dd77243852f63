package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/websocket"

	"safing/internal/socks"
)

var iperfTime = flag.Int("iperf", 1, "for how many seconds iperf3 runs in each direction")

const largeSize = 64 << 20

// TestPrograms takes programs that people use through a network.
func TestPrograms(t *testing.T) {
	proxy := startNet(t).Socks
	for _, program := range []struct {
		name string
		test func(*testing.T, string)
	}{
		{"curl", testCurl},
		{"browser", testBrowser},
		{"dig", testDig},
		{"WebSocket", testWebSocket},
		{"HTTP3", testHTTP3},
		{"iperf3", testIperf},
	} {
		t.Run(program.name, func(t *testing.T) { program.test(t, proxy) })
	}
}

// A files is a web site with a large file, which takes large ones, too.
type files struct{ large []byte }

func (f files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		h := sha256.New()
		if _, err := io.Copy(h, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%x", h.Sum(nil))
		return
	}
	w.Write(f.large) //nolint:errcheck // who asked sees what is missing
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func testCurl(t *testing.T, proxy string) {
	needs(t, "curl")
	site := files{random(largeSize)}
	plain, secure := httptest.NewServer(site), httptest.NewTLSServer(site)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, site.large, 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(plain.Listener.Addr().String())
	curl := func(args ...string) []byte {
		t.Helper()
		args = append([]string{"-sS", "--fail", "-m", "60", "--socks5-hostname", proxy, "--cacert", ca}, args...)
		out, err := exec.Command("curl", args...).Output()
		if err != nil {
			var stderr []byte
			if exit, ok := err.(*exec.ExitError); ok {
				stderr = exit.Stderr
			}
			t.Fatalf("curl %s: %v\n%s", strings.Join(args, " "), err, stderr)
		}
		return out
	}
	for _, url := range []string{plain.URL, secure.URL, "http://localhost:" + port} {
		if got := curl(url + "/large"); digest(got) != digest(site.large) {
			t.Errorf("%s: %d bytes came, and others than were sent", url, len(got))
		}
	}
	for _, url := range []string{plain.URL, secure.URL} {
		if got := string(curl("-T", upload, url+"/upload")); got != digest(site.large) {
			t.Errorf("%s: the server got other bytes: digest %q", url, got)
		}
	}
}

// testBrowser opens a page that loads more, and talks over a WebSocket.
func testBrowser(t *testing.T, proxy string) {
	needs(t, browser)
	pages := http.NewServeMux()
	pages.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><link rel=stylesheet href=/style.css><script src=/script.js></script>`)
		for i := range 20 {
			fmt.Fprintf(w, `<img src="/image%d.svg">`, i)
		}
	})
	pages.HandleFunc("/style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css")
		fmt.Fprint(w, "body { margin-left: 17px }")
	})
	pages.HandleFunc("/script.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, `const s = new WebSocket("ws://" + location.host + "/echo"); s.onopen = () => s.send("hello"); s.onmessage = m => window.heard = m.data`)
	})
	pages.Handle("/echo", websocket.Handler(func(c *websocket.Conn) { io.Copy(c, c) }))
	pages.HandleFunc("/{image}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg" width="17" height="17"/>`)
	})
	s := serve(t, "127.99.0.9:0", pages)
	tab := openBrowser(t, chromedp.ProxyServer("socks5://"+proxy), chromedp.Flag("proxy-bypass-list", "<-loopback>"))
	if err := chromedp.Do(tab, chromedp.Navigate("http://"+s.addr.String()+"/")); err != nil {
		t.Fatalf("open the page: %v", err)
	}
	whole := `window.heard === "hello" && getComputedStyle(document.body).marginLeft === "17px" &&
		[...document.images].length === 20 && [...document.images].every(i => i.complete && i.naturalWidth === 17)`
	if _, err := chromedp.Run(tab, chromedp.Poll[bool](whole, chromedp.WithPollingTimeout(patience))); err != nil {
		t.Errorf("the page is not whole: %v", err)
	}
	for len(s.clients) > 0 {
		if from := <-s.clients; from == s.addr.Addr() || from.String() == "127.0.0.1" {
			t.Errorf("the browser asked from %v: not through the network", from)
		}
	}
}

func testDig(t *testing.T, proxy string) {
	needs(t, "dig")
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		for i := range 40 { // more than 512 bytes
			a, _ := dns.NewRR(fmt.Sprintf("%s 60 IN A 192.0.2.%d", q.Question[0].Name, i))
			m.Answer = append(m.Answer, a)
		}
		w.WriteMsg(m) //nolint:errcheck // dig asks again
	})}
	go server.ActivateAndServe() //nolint:errcheck // ends with Shutdown
	t.Cleanup(func() { server.Shutdown() })
	host, port, _ := net.SplitHostPort(forwardPackets(t, proxy, socket.LocalAddr()))
	out, err := exec.Command("dig", "@"+host, "-p", port, "+short", "+ignore", "+bufsize=4096", "example.test").CombinedOutput()
	if err != nil || strings.Count(string(out), "192.0.2.") != 40 {
		t.Errorf("dig: %v\n%s", err, out)
	}
}

func testWebSocket(t *testing.T, proxy string) {
	s := serve(t, "127.99.0.8:0", websocket.Handler(func(c *websocket.Conn) {
		for {
			var b []byte
			if websocket.Message.Receive(c, &b) != nil || websocket.Message.Send(c, b) != nil {
				return
			}
		}
	}))
	conn, err := through(proxy, s.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	config, err := websocket.NewConfig("ws://"+s.addr.String()+"/", "http://"+s.addr.String()+"/")
	if err != nil {
		t.Fatal(err)
	}
	c, err := websocket.NewClient(config, conn)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1; size <= 1<<20; size *= 4 {
		sent := random(size)
		if err := websocket.Message.Send(c, sent); err != nil {
			t.Fatal(err)
		}
		var got []byte
		if err := websocket.Message.Receive(c, &got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("a message of %d bytes came back with %d: %v", size, len(got), err)
		}
	}
}

// testHTTP3 fetches a file over QUIC in datagrams.
func testHTTP3(t *testing.T, proxy string) {
	site := files{random(largeSize / 8)}
	t.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") // what it reads from is no *net.UDPConn
	certificates := httptest.NewTLSServer(nil)                 // for its certificate alone
	t.Cleanup(certificates.Close)
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server := &http3.Server{Handler: site, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: certificates.TLS.Certificates})}
	go server.Serve(socket) //nolint:errcheck // ends with Close
	t.Cleanup(func() { server.Close(); socket.Close() })

	packets, err := socks.ListenPacket(proxy, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	q := &quic.Transport{Conn: packets}
	t.Cleanup(func() { q.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(certificates.Certificate())
	client := &http3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		QUICConfig:      &quic.Config{InitialPacketSize: 1200},
		Dial: func(ctx context.Context, addr string, tlsConfig *tls.Config, config *quic.Config) (*quic.Conn, error) {
			to, err := net.ResolveUDPAddr("udp", addr)
			if err != nil {
				return nil, err
			}
			return q.DialEarly(ctx, to, tlsConfig, config)
		},
	}
	t.Cleanup(func() { client.Close() })
	url := fmt.Sprintf("https://%s/large", socket.LocalAddr())
	r, err := (&http.Client{Transport: client, Timeout: patience}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got, err := io.ReadAll(r.Body); err != nil || r.Proto != "HTTP/3.0" || digest(got) != digest(site.large) {
		t.Errorf("%s: %s, %d bytes, %v; want %d", url, r.Proto, len(got), err, len(site.large))
	}
	r, err = (&http.Client{Transport: client, Timeout: patience}).Do(put(t, url, site.large))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got, err := io.ReadAll(r.Body); err != nil || string(got) != digest(site.large) {
		t.Errorf("%s: the server got other bytes: %q, %v", url, got, err)
	}
}

func put(t *testing.T, url string, b []byte) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// testIperf measures, but only that bytes move is tested.
func testIperf(t *testing.T, proxy string) {
	needs(t, "iperf3")
	for _, way := range [][]string{{}, {"-R"}, {"-P", "4"}, {"-P", "4", "-R"}} {
		host, port, _ := net.SplitHostPort(forward(t, proxy, serveIperf(t)))
		args := append([]string{"-c", host, "-p", port, "-J", "-t", fmt.Sprint(*iperfTime)}, way...)
		out, err := exec.Command("iperf3", args...).Output()
		var report struct {
			End struct {
				Received struct {
					Bytes int64
					Rate  float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			}
			Error string
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("iperf3's report: %v\n%s", err, out)
		}
		if err != nil || report.Error != "" || report.End.Received.Bytes == 0 {
			t.Errorf("iperf3 %v: %v: %s", way, err, report.Error)
		}
		t.Logf("iperf3 %v: %.0f MB/s", way, report.End.Received.Rate/8e6)
	}
}

// serveIperf starts a server for one client.
func serveIperf(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.99.0.7:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	host, port, _ := net.SplitHostPort(address)
	free.Close()
	server := exec.CommandContext(t.Context(), "iperf3", "-s", "-1", "-B", host, "-p", port, "--forceflush")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil { // it says that it listens
		t.Fatal(err)
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // it ends with the server
	return address
}
