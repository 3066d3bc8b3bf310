package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/chart"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/query"
	"taxilake/lakekit/settings"
)

// Server does what notebooks, the command line and the web page ask for.
type Server struct {
	settings *settings.Settings
	log      *slog.Logger
	bucket   blob.Bucket
	kafka    kafka.Config
	engine   *query.Engine
	charts   charts
	traffic  *traffic
	streams  *streams

	storeMutex  sync.Mutex
	storeProven bool

	tablesMutex sync.Mutex
	tables      map[string]*delta.Table // by address: a Table keeps its last snapshot
}

// Open connects to the services that the settings name and resumes the streams
// that were running when the last server ended.
func Open(ctx context.Context, s *settings.Settings, log *slog.Logger) (*Server, error) {
	if s.Kafka.Servers() == "" || s.OSS.Endpoint == "" {
		return nil, errors.New("starting the workshop server: the broker and the object store must run first: `lakekit up` starts all three in order")
	}
	bucket, err := OpenBucket(s)
	if err != nil {
		return nil, err
	}
	engine, err := query.Open(query.Options{
		Limits:   SQLLimits(s.SQL, "in .env raises the limit, from the next `lakekit down` and `lakekit up` on"),
		CacheDir: filepath.Join(s.State, "cache"),
		TempDir:  filepath.Join(s.State, "tmp"),
	})
	if err != nil {
		return nil, err
	}
	server := &Server{
		settings: s, log: log, bucket: bucket, kafka: kafkaConfig(s), engine: engine,
		tables: map[string]*delta.Table{},
	}
	if s.Profile != settings.Embedded {
		if err := server.prepareStore(ctx); err != nil { // to be tried again before the first write
			log.Warn("preparing the object store", "error", err)
		}
	}
	if server.traffic, err = openTraffic(server); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	if server.streams, err = openStreams(ctx, server); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return server, nil
}

// SQLLimits are the limits of statements as the settings have them; how says what
// is done with a setting to raise it.
func SQLLimits(s settings.SQL, how string) query.Limits {
	return query.Limits{
		Memory: s.Memory, Time: s.Time, Result: s.Result, Text: s.Text, Temp: s.Temp, Waiting: s.Waiting,
		Raise: func(limit query.Limit) string { return settings.SQLVariable(string(limit)) + " " + how },
	}
}

// Close stops producing runs after what they have handed over is delivered and
// streams between two batches; both are remembered.
func (s *Server) Close(ctx context.Context) error {
	defer s.charts.close()
	return errors.Join(s.traffic.close(ctx), s.streams.close(ctx), s.engine.Close())
}

// kafkaConfig gives consumers a group of this workspace's: no stream rests on its
// group, but on a Kafka with ACLs a student may use no other.
func kafkaConfig(s *settings.Settings) kafka.Config {
	config := kafka.Config{"group.id": s.TopicInWorkspace("lakekit")}
	maps.Copy(config, s.Kafka)
	return config
}

// echartsFile is where set-up puts the chart library.
func echartsFile(s *settings.Settings) string {
	return filepath.Join(s.Home, "lakekit", "jupyter", "node_modules", "echarts", "dist", "echarts.min.js")
}

// charts draws with a renderer that the first chart opens.
type charts struct {
	mutex    sync.Mutex
	renderer *chart.Renderer
}

func (c *charts) open(s *settings.Settings) (*chart.Renderer, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.renderer != nil {
		return c.renderer, nil
	}
	source, err := os.ReadFile(echartsFile(s))
	if err != nil {
		return nil, failure{http.StatusServiceUnavailable, fmt.Errorf("drawing a chart: the chart library is missing (%w): run `make setup`", err)}
	}
	c.renderer, err = chart.NewRenderer(source)
	return c.renderer, err
}

func (c *charts) close() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.renderer != nil {
		c.renderer.Close()
	}
}

// plain gives every address of a folder in one writing: no doubled and no last
// slash.
func plain(uri string) string {
	scheme, path, found := strings.Cut(uri, "://")
	if !found {
		return uri
	}
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return scheme + "://" + strings.TrimSuffix(path, "/")
}

// tableURI is the address of a table given by its name or address.
func (s *Server) tableURI(nameOrURI string) string { return plain(s.settings.TableURI(nameOrURI)) }

// within turns an oss:// address into a key of the workshop's bucket.
func (s *Server) within(uri string, use settings.Use) (key string, err error) {
	key, err = s.settings.CheckAddress(uri, use)
	if err != nil && !errors.Is(err, settings.ErrOutside) {
		err = badRequest("%w", err)
	}
	return key, err
}

// folder is the part of the bucket below an address, to be changed.
func (s *Server) folder(uri string) (blob.Bucket, error) { return s.below(uri, settings.Change) }

// readable is the part of the bucket below an address, to be read.
func (s *Server) readable(uri string) (blob.Bucket, error) { return s.below(uri, settings.Read) }

func (s *Server) below(uri string, use settings.Use) (blob.Bucket, error) {
	key, err := s.within(uri, use)
	switch {
	case err != nil:
		return nil, err
	case key == "":
		return nil, badRequest("%s is the whole bucket; name a folder in it", uri)
	case s.settings.Workspace != "" && !strings.Contains(key, "/"):
		return nil, badRequest("%s is a whole workspace; name a folder in it", uri)
	}
	return blob.Prefix(s.bucket, key), nil
}

// table opens the table with a name or at an address to read it, or returns the
// one opened before.
func (s *Server) table(ctx context.Context, nameOrURI string) (*delta.Table, error) {
	uri := s.tableURI(nameOrURI)
	root, err := s.readable(uri)
	if err != nil {
		return nil, err
	}
	s.tablesMutex.Lock()
	known := s.tables[uri]
	s.tablesMutex.Unlock()
	if known != nil {
		return known, nil
	}
	table, err := delta.Open(ctx, root)
	if errors.Is(err, delta.ErrNotTable) {
		return nil, notFound("there is no table %s at %s yet: lesson 03 creates it, and so does `lakekit table create`", filepath.Base(uri), uri)
	}
	if err != nil {
		return nil, err
	}
	s.tablesMutex.Lock()
	defer s.tablesMutex.Unlock()
	s.tables[uri] = table
	return table, nil
}

// forget drops tables that were deleted.
func (s *Server) forgetTables() {
	s.tablesMutex.Lock()
	defer s.tablesMutex.Unlock()
	clear(s.tables)
}
