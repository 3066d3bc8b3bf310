package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"taxilake/lakekit/api"
	"taxilake/lakekit/query"
	"taxilake/lakekit/settings"
)

// sqlServer answers SQL over no table, one statement at a time.
func sqlServer(t *testing.T, limits settings.SQL) func(ctx context.Context, statement string) (status int, answer string, err error) {
	t.Helper()
	engine, err := query.Open(query.Options{Limits: SQLLimits(limits, "in .env raises the limit"), Concurrency: 1, CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &Server{settings: &settings.Settings{}, log: slog.New(slog.DiscardHandler), engine: engine}
	web := httptest.NewServer(answer(s, s.sql))
	t.Cleanup(web.Close)
	return func(ctx context.Context, statement string) (int, string, error) {
		body, err := json.Marshal(api.SQLRequest{SQL: statement})
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, web.URL, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return response.StatusCode, string(text), err
	}
}

// TestHangUp: who goes away leaves the place to the next, whatever DuckDB does.
func TestHangUp(t *testing.T) {
	ask := sqlServer(t, settings.SQL{})
	for _, endless := range []string{
		"SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE hash(a.range, b.range) = 1",
		"SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))",
	} {
		ctx, hangUp := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, _, err := ask(ctx, endless)
			gone <- err
		}()
		hangUp()
		if err := <-gone; err == nil {
			t.Errorf("%s was answered", endless)
		}
		if status, text, err := ask(t.Context(), "SELECT 42 AS x"); status != http.StatusOK || !strings.Contains(text, "[[42]]") {
			t.Errorf("the next statement is answered with %d %s %v", status, text, err)
		}
	}
}

// TestSQLLimits: a limit of the settings is one of statements, and the answer
// names the setting.
func TestSQLLimits(t *testing.T) {
	ask := sqlServer(t, settings.SQL{Result: 1_000_000, Text: 1000})
	for statement, want := range map[string]string{
		"SELECT repeat('x', 1000001)":                 "LAKEKIT_SQL_RESULT in .env raises the limit",
		"SELECT 1 -- " + strings.Repeat("x", 1000):    "LAKEKIT_SQL_TEXT in .env raises the limit",
		"SELECT generate_series(1, 1000000000)":       "LAKEKIT_SQL_MEMORY in .env raises the limit",
		"SELECT " + strings.Repeat("(", 400) + "nope": "syntax error",
	} {
		status, text, err := ask(t.Context(), statement)
		if err != nil || status != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%.40s is answered with %d %s %v, want 400 and %q", statement, status, text, err, want)
		}
	}
}
