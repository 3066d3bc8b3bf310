package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/settings"
)

// What the caller can put right is told to be the caller's, with a message, and
// is no failure of the server.
func TestMistakesAreTheCallers(t *testing.T) {
	all := newStreams(t)
	s := all.server
	s.settings.Server.Token = testToken
	handler := s.Handler()
	all.mustStart(t, lakekit.StreamOptions{Name: "running", StartingOffsets: "latest"})
	large, _ := json.Marshal(api.MessagesRequest{Topic: testTopic, Values: []string{strings.Repeat("x", 2<<20)}})
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/api/topics", `{"name":"a b"}`, 400, "letters"},
		{"POST", "/api/topics", `{"name":".."}`, 400, "letters"},
		{"POST", "/api/topics", strings.Repeat("[", 5000), 400, "request: want a JSON object"},
		{"POST", "/api/topics", `{"name":"__consumer_offsets"}`, 400, "begin with __"},
		{"POST", "/api/topics", `{"name":"second.topic"}`, 400, "differs only in"},
		{"POST", "/api/topics", `{"name":"x","partitions":-1}`, 400, "partitions"},
		{"POST", "/api/topics", `{"name":"x","partitions":4294967297}`, 400, "partitions"},
		{"POST", "/api/topics", `{"name":"x","configs":{"retention.ms":"abc"}}`, 400, "retention.ms"},
		{"POST", "/api/topics", `{"name":"x","configs":{"message.timestamp.type":"LogAppendTime"}}`, 400, "message.timestamp.type"},
		{"POST", "/api/topics", `{"name":"second_topic","partitions":7}`, 409, "7"},
		{"POST", "/api/topics", `{"name":"second_topic","configs":{"retention.ms":"77"}}`, 409, "77 was asked for"},
		{"GET", "/api/topics/absent", "", 404, "absent"},
		{"GET", "/api/topics/a%20b", "", 400, "letters"},
		{"GET", "/api/topics/absent/messages", "", 404, "absent"},
		{"GET", "/api/topics/second_topic/messages?limit=-1", "", 400, "limit"},
		{"GET", "/api/topics/second_topic/messages?limit=0", "", 400, "limit"},
		{"GET", "/api/topics/second_topic/messages?limit=99999999999999999999", "", 400, "limit"},
		{"GET", "/api/topics/second_topic/messages?partition=7", "", 404, "partition"},
		{"GET", "/api/topics/second_topic/messages?partition=-2", "", 400, "partition"},
		{"GET", "/api/topics/second_topic/messages?partition=4294967296", "", 400, "partition"},
		{"GET", "/api/topics/second_topic/messages?offset=-3", "", 400, "offset"},
		{"GET", "/api/topics/second_topic/messages?offset=x", "", 400, "offset"},
		{"GET", "/api/topics/second_topic/messages?offset=9223372036854775807", "", 200, "[]"},
		{"POST", "/api/messages", `{"topic":"absent","values":["x"]}`, 404, "absent"},
		{"POST", "/api/messages", `{"topic":"a b","values":["x"]}`, 400, "letters"},
		{"POST", "/api/messages", `{"topic":"__consumer_offsets","values":["x"]}`, 400, "begin with __"},
		{"POST", "/api/messages", string(large), 400, "too large"},
		{"POST", "/api/traffic", `{"topic":"absent"}`, 404, "absent"},
		{"POST", "/api/traffic", `{"topic":"__consumer_offsets"}`, 400, "begin with __"},
		{"POST", "/api/traffic", `{"rate":-1}`, 400, "rate"},
		{"POST", "/api/traffic", `{"csv":"/absent.csv","seed":7}`, 400, "seed 7 is the generator's"},
		{"POST", "/api/traffic", `{"records":-1}`, 400, "records"},
		{"POST", "/api/traffic", `{"from_row":-1}`, 400, "from_row"},
		{"GET", "/api/traffic/7", "", 404, "7"},
		{"GET", "/api/traffic/x", "", 400, "x"},
		{"POST", "/api/traffic/7/stop", "", 404, "7"},
		{"POST", "/api/streams", `{"name":"a b"}`, 400, "name"},
		{"POST", "/api/streams", `{"name":"s","table":"absent"}`, 404, "absent"},
		{"POST", "/api/streams", `{"name":"s","table":"other","subscribe":"absent"}`, 404, "absent"},
		{"POST", "/api/streams", `{"name":"s","table":"other","subscribe":"a b"}`, 400, "subscribe"},
		{"POST", "/api/streams", `{"name":"s","table":"other","startingOffsets":"sometimes"}`, 400, "startingOffsets"},
		{"POST", "/api/streams", `{"name":"s","table":"other","startingOffsets":"{\"second_topic\":{\"0\":5}}"}`, 400, "startingOffsets"},
		{"POST", "/api/streams", `{"name":"s","table":"other","subscribe":"second_topic","startingOffsets":"{\"second_topic\":{\"0\":5}}"}`, 400, "startingOffsets"},
		{"POST", "/api/streams", `{"name":"s","table":"other","trigger":"sometimes"}`, 400, "trigger"},
		{"POST", "/api/streams", `{"name":"s","table":"other","maxTriggerDelay":"x"}`, 400, "maxTriggerDelay"},
		{"POST", "/api/streams", `{"name":"s","table":"other","endingOffsets":"latest"}`, 400, "endingOffsets"},
		{"POST", "/api/streams", `{"name":"s","table":"other","maxOffsetsPerTrigger":-1}`, 400, "maxOffsetsPerTrigger"},
		{"POST", "/api/streams", `{"name":"s","table":"other","bufferBytes":1}`, 400, "buffer"},
		{"POST", "/api/streams", `{"name":"s","table":"other","kafka":{"no.such.option":"1"}}`, 400, "no.such.option"},
		{"POST", "/api/streams", `{"name":"s","table":"other","kafka":{"fetch.min.bytes":"many"}}`, 400, "fetch.min.bytes"},
		{"POST", "/api/streams", `{"name":"s","table":"other","checkpointLocation":"nowhere"}`, 400, "nowhere"},
		{"POST", "/api/streams", `{"name":"s","table":"other","checkpointLocation":"oss://another/bucket"}`, 400, "another"},
		{"POST", "/api/streams", `{"name":"s","table":"other","checkpointLocation":"oss://lake/delta/other"}`, 400, "checkpoint"},
		{"POST", "/api/streams", `{"name":"running","trigger":"once"}`, 409, "running"},
		{"POST", "/api/streams", `{"name":"s","includeHeaders":true}`, 409, "running"},
		{"POST", "/api/streams", `{"name":"s","table":"other","includeHeaders":true}`, 400, "headers"},
		{"POST", "/api/streams", `{"name":"s","ignoreUnknownFields":"no"}`, 400, "ignoreUnknownFields"},
		{"GET", "/api/streams/absent", "", 404, "absent"},
		{"GET", "/api/streams/absent/progress", "", 404, "absent"},
		{"POST", "/api/streams/absent/stop", `{}`, 404, "absent"},
		{"POST", "/api/streams/running/stop", `{"mode":"soon"}`, 400, "soon"},
		{"POST", "/api/streams/absent/process-all-available", `{}`, 404, "absent"},
		{"GET", "/api/dead-letters?limit=-1", "", 400, "limit"},
		{"GET", "/api/dead-letters?limit=0", "", 400, "limit"},
		{"GET", "/api/dead-letters?table=absent", "", 404, "absent"},
		{"GET", "/api/dead-letters?table=oss://another/table", "", 400, "another"},
		{"POST", "/api/dead-letters/replay", `{"table":"absent"}`, 404, "absent"},
		{"POST", "/api/dead-letters/replay", `{"table":"oss://another/table"}`, 400, "another"},
	} {
		request := httptest.NewRequestWithContext(t.Context(), test.method, "http://127.0.0.1"+test.path, strings.NewReader(test.body))
		request.Header.Set("Authorization", "Bearer "+testToken)
		if test.body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.says) {
			t.Errorf("%s %s %.100s: %d %s, want %d saying %q", test.method, test.path, test.body, answer.Code, strings.TrimSpace(answer.Body.String()), test.status, test.says)
		}
	}
}

// A body that breaks off is its sender's mistake, and told to one who still listens.
func TestABodyThatBreaksOff(t *testing.T) {
	s := &Server{log: slog.New(slog.DiscardHandler), settings: &settings.Settings{Server: settings.Server{Token: testToken}}}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	for _, rest := range []string{"Content-Length: 50\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\nffffff\r\n{", "Transfer-Encoding: chunked\r\n\r\nzz\r\n"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /api/topics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s", testToken, rest)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "reading the request") {
			t.Errorf("%q is answered with %d %s", rest, answer.StatusCode, text)
		}
		conn.Close()
	}
}

// Who shows no token holds neither a connection nor memory: one answer ends the
// connection, and few are given at once what is long.
func TestStrangersHoldNothing(t *testing.T) {
	state := t.TempDir()
	s := &Server{log: slog.New(slog.DiscardHandler), settings: &settings.Settings{Home: state, Server: settings.Server{Token: testToken}}}
	handler := s.Handler()
	for _, path := range []string{"/health", "/assets/echarts.min.js", "/", "/?token=x", "/api/topics", "/nothing"} {
		for token, closes := range map[string]bool{"": true, "wrong": true, testToken: false} {
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
			r.Host = "127.0.0.1"
			r.Header.Set("Authorization", "Bearer "+token)
			if strings.HasPrefix(path, "/api") && !closes {
				continue // would ask Kafka
			}
			handler.ServeHTTP(w, r)
			if got := w.Header().Get("Connection") == "close"; got != closes {
				t.Errorf("%s with token %q: %d, the connection ends: %v", path, token, w.Code, got)
			}
		}
	}

	held, release := make(chan struct{}), make(chan struct{})
	few := s.few(2, func(http.ResponseWriter, *http.Request) {
		held <- struct{}{}
		<-release
	})
	for range 2 {
		go few.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/long", nil))
		<-held
	}
	w := httptest.NewRecorder()
	few.ServeHTTP(w, httptest.NewRequest("GET", "/long", nil))
	close(release)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "try again") {
		t.Errorf("one more is answered with %d %s", w.Code, w.Body)
	}
}
