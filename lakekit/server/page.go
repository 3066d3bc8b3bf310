package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"net/http"
	"sync"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/kafka"
)

//go:embed page.html
var pageHTML []byte

// pagePolicy lets the page's own script run and no other. echarts writes styles
// into elements.
var pagePolicy = sync.OnceValue(func() string {
	_, rest, _ := bytes.Cut(pageHTML, []byte("<script>"))
	script, _, _ := bytes.Cut(rest, []byte("</script>"))
	sum := sha256.Sum256(script)
	return "default-src 'none'; script-src 'self' 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; style-src 'self' 'unsafe-inline'; " +
		"img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
})

// page is the workshop's web page; it asks for overview every second.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy())
	_, _ = w.Write(pageHTML) // to a browser that may be gone
}

// overview is what the page shows. A topic or table that is not there yet is null.
type overview struct {
	Topic    *api.TopicInfo       `json:"topic"`
	Traffic  []lakekit.TrafficRun `json:"traffic"`
	Streams  []api.StreamStatus   `json:"streams"`
	Progress []api.StreamProgress `json:"progress"` // of the course's stream
	Table    *api.TableDetail     `json:"table"`
	Commits  []api.HistoryEntry   `json:"commits"`
	Problems []string             `json:"problems"`
}

const shownCommits = 8

func (s *Server) overview(r *http.Request) (overview, error) {
	o := overview{
		Traffic: s.traffic.list(), Streams: s.streams.list(),
		Progress: []api.StreamProgress{}, Commits: []api.HistoryEntry{}, Problems: []string{},
	}
	if known, err := s.streams.find(tableName(s.settings.Table)); err == nil && known.query != nil {
		o.Progress = append(o.Progress, known.query.RecentProgress()...)
	}
	if err := s.overviewTopic(r.Context(), &o); err != nil {
		o.Problems = append(o.Problems, err.Error())
	}
	if err := s.overviewTable(r.Context(), &o); err != nil {
		o.Problems = append(o.Problems, err.Error())
	}
	return o, nil
}

func (s *Server) overviewTopic(ctx context.Context, o *overview) error {
	return s.admin(func(a *kafka.Admin) error {
		topic, err := a.DescribeTopic(ctx, s.settings.Topic)
		if errors.Is(err, kafka.ErrTopicNotFound) {
			return nil
		}
		if err == nil {
			o.Topic = &topic
		}
		return err
	})
}

func (s *Server) overviewTable(ctx context.Context, o *overview) error {
	table, err := s.table(ctx, s.settings.Table)
	if missing, ok := errors.AsType[failure](err); ok && missing.status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		return err
	}
	detail := api.TableDetail(snapshot.Detail())
	o.Table = &detail
	commits, err := table.History(ctx, shownCommits)
	o.Commits = History(commits)
	return err
}
