package server

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/chart"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/settings"
)

// Bodies are small, but for statements, messages and charts.
const (
	someBody  = 256 << 10
	largeBody = 8 << 20
	chartBody = 4 << 20
)

// Handler is the server's HTTP face.
func (s *Server) Handler() http.Handler { return s.serving(s.routes()) }

func (s *Server) serving(routes []route) http.Handler {
	mux, byPattern := http.NewServeMux(), map[string]route{}
	for _, route := range routes {
		mux.Handle(route.pattern, s.call(route))
		byPattern[route.pattern] = route
	}
	return s.guarded(byPattern, mux)
}

// routes are all there is. What is asked for with GET changes nothing.
func (s *Server) routes() []route {
	var (
		looks      = make(turns, 8) // at Kafka and the store, which answer by themselves
		reads      = make(turns, 4) // of messages and letters, some 10,000 at a time
		statements = make(turns, 8) // the engine runs fewer
		drawings   = make(turns, 4)
		changes    = make(turns, 4)
		rewrites   = make(turns, 2) // of a table's files
		whole      = make(turns, 1) // goes through everything
	)
	uri := []string{"uri"}
	return []route{
		{pattern: "GET /health", open: true, serve: answer(s, s.health)},
		{pattern: "GET /assets/echarts.min.js", open: true, serve: s.few(16, s.echarts)},
		{pattern: "GET /{$}", query: []string{"token"}, serve: http.HandlerFunc(s.page)},
		{pattern: "GET /metrics", serve: s.metrics(), turns: looks},
		{pattern: "GET /api/overview", serve: answer(s, s.overview), turns: looks},

		{pattern: "GET /api/cluster", serve: answer(s, s.cluster), turns: looks},
		{pattern: "GET /api/topics", serve: answer(s, s.topics), turns: looks},
		{pattern: "POST /api/topics", body: someBody, serve: answer(s, s.createTopic), turns: changes},
		{pattern: "GET /api/topics/{name}", serve: answer(s, s.topic), turns: looks},
		{pattern: "GET /api/topics/{name}/messages", query: []string{"partition", "offset", "limit"}, serve: answer(s, s.messages), turns: reads},
		{pattern: "POST /api/messages", body: largeBody, serve: answer(s, s.send), turns: changes},

		{pattern: "GET /api/traffic", serve: answer(s, s.trafficRuns)},
		{pattern: "POST /api/traffic", body: someBody, serve: answer(s, s.startTraffic), turns: changes},
		{pattern: "GET /api/traffic/{id}", serve: answer(s, s.trafficRun)},
		{pattern: "POST /api/traffic/{id}/stop", serve: answer(s, s.stopTraffic)},

		{pattern: "POST /api/tables", body: someBody, serve: answer(s, s.createTable), turns: changes},
		{pattern: "GET /api/table", query: uri, serve: answer(s, s.describeTable), turns: looks},
		{pattern: "GET /api/table/history", query: []string{"uri", "limit"}, serve: answer(s, s.tableHistory), turns: looks},
		{pattern: "GET /api/table/files", query: []string{"uri", "version"}, serve: answer(s, s.tableFiles), turns: looks},
		{pattern: "POST /api/table/optimize", body: someBody, turns: rewrites,
			serve: maintain(s, func(r lakekit.OptimizeOptions) string { return r.URI }, Optimize)},
		{pattern: "POST /api/table/vacuum", body: someBody, turns: rewrites,
			serve: maintain(s, func(r lakekit.VacuumOptions) string { return r.URI }, Vacuum)},
		{pattern: "POST /api/table/restore", body: someBody, turns: rewrites,
			serve: maintain(s, func(r lakekit.RestoreOptions) string { return r.URI }, Restore)},

		{pattern: "GET /api/streams", serve: answer(s, s.listStreams)},
		{pattern: "POST /api/streams", body: someBody, serve: answer(s, s.startStream), turns: changes},
		{pattern: "GET /api/streams/{name}", serve: answer(s, s.streamStatus)},
		{pattern: "GET /api/streams/{name}/progress", serve: answer(s, s.streamProgress)},
		{pattern: "POST /api/streams/{name}/process-all-available", serve: answer(s, s.processAllAvailable)},
		{pattern: "POST /api/streams/{name}/stop", body: someBody, serve: answer(s, s.stopStream)},

		{pattern: "GET /api/dead-letters", query: []string{"table", "limit"}, serve: answer(s, s.listDeadLetters), turns: reads},
		{pattern: "POST /api/dead-letters/replay", body: someBody, serve: answer(s, s.replayDeadLetters), turns: rewrites},

		{pattern: "GET /api/objects", query: uri, serve: answer(s, s.objects), turns: looks},
		{pattern: "POST /api/sql", body: largeBody, serve: answer(s, s.sql), turns: statements},
		{pattern: "POST /api/charts", body: chartBody, serve: answer(s, s.drawChart), turns: drawings},
		// To find out whether the store can be written to, something is written.
		{pattern: "POST /api/doctor/kafka", serve: answer(s, s.diagnoseKafka), turns: looks},
		{pattern: "POST /api/doctor/store", serve: answer(s, s.diagnoseStore), turns: looks},
		{pattern: "POST /api/verify", serve: answer(s, s.verify), turns: whole},
		{pattern: "GET /api/reset", serve: answer(s, s.planReset), turns: whole},
		{pattern: "POST /api/reset", serve: answer(s, s.reset), turns: whole},
	}
}

// health tells who asks with the token which workshop this is.
func (s *Server) health(r *http.Request) (api.Health, error) {
	health := api.Health{PID: os.Getpid(), Profile: s.settings.Profile}
	if s.tokenIs(shownToken(r)) {
		health.Topic, health.Table = s.settings.Topic, s.settings.Table
	}
	return health, nil
}

// echarts serves the chart library to pages and notebooks that turn a picture
// live.
func (s *Server) echarts(w http.ResponseWriter, r *http.Request) {
	source, err := os.ReadFile(echartsFile(s.settings))
	if err != nil {
		s.fail(w, r, notFound("the chart library is not installed: run `make setup`"))
		return
	}
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=86400")
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin") // a notebook's page is of another port
	_, _ = w.Write(chart.Script(source))                           // to a browser that may be gone
}

func (s *Server) assetURL() string { return s.settings.Server.URL + "/assets/echarts.min.js" }

// admin opens a connection for the length of one request: admin calls are rare,
// and a connection of their own never waits behind traffic.
func (s *Server) admin(use func(*kafka.Admin) error) error {
	admin, err := kafka.NewAdmin(s.kafka)
	if err != nil {
		return err
	}
	defer admin.Close()
	return use(admin)
}

func (s *Server) cluster(r *http.Request) (info api.ClusterInfo, err error) {
	err = s.admin(func(a *kafka.Admin) error { info, err = a.Cluster(r.Context()); return err })
	return info, err
}

func (s *Server) topics(r *http.Request) (list []api.TopicInfo, err error) {
	err = s.admin(func(a *kafka.Admin) error { list, err = a.Topics(r.Context()); return err })
	return slices.DeleteFunc(list, func(topic api.TopicInfo) bool { return s.settings.CheckTopic(topic.Name, settings.Read) != nil }), err
}

func (s *Server) topic(r *http.Request) (info api.TopicInfo, err error) {
	if err := s.settings.CheckTopic(r.PathValue("name"), settings.Read); err != nil {
		return info, err
	}
	err = s.admin(func(a *kafka.Admin) error {
		info, err = a.DescribeTopic(r.Context(), r.PathValue("name"))
		return err
	})
	return info, err
}

func (s *Server) createTopic(r *http.Request) (info api.TopicInfo, err error) {
	request, err := body[lakekit.TopicOptions](r)
	if err != nil {
		return info, err
	}
	name := cmp.Or(request.Name, s.settings.Topic)
	if err := s.settings.CheckTopic(name, settings.Change); err != nil {
		return info, err
	}
	err = s.admin(func(a *kafka.Admin) error {
		info, err = a.CreateTopic(r.Context(), kafka.TopicSpec{
			Name:       name,
			Partitions: cmp.Or(request.Partitions, defaultPartitions),
			Configs:    request.Configs,
		})
		if request.Partitions == 0 && errors.Is(err, kafka.ErrPartitionCount) {
			return nil // nobody asked for a number: the topic is right as it is
		}
		return err
	})
	return info, err
}

const defaultPartitions = 3

func (s *Server) messages(r *http.Request) ([]api.Message, error) {
	if err := s.settings.CheckTopic(r.PathValue("name"), settings.Read); err != nil {
		return nil, err
	}
	partition, err := number(r, "partition", -1, -1, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	offset, err := number(r, "offset", 0, kafka.Earliest, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	const most = 10_000
	limit, err := number(r, "limit", 10, 1, most)
	if err != nil {
		return nil, err
	}
	messages, err := kafka.Browse(r.Context(), s.kafka, r.PathValue("name"), kafka.BrowseOptions{
		Partition: int32(partition), Offset: offset, Limit: int(limit),
	})
	return messages, err
}

func (s *Server) sql(r *http.Request) (*api.Result, error) {
	request, err := body[api.SQLRequest](r)
	if err != nil {
		return nil, err
	}
	return s.runSQL(r.Context(), request)
}

func (s *Server) drawChart(r *http.Request) (api.Picture, error) {
	request, err := body[api.ChartRequest](r)
	if err != nil {
		return api.Picture{}, err
	}
	renderer, err := s.charts.open(s.settings)
	if err != nil {
		return api.Picture{}, err
	}
	bundle, err := renderer.Bundle(r.Context(), []byte(request.Option), chart.Size{Width: request.Width, Height: request.Height}, s.assetURL())
	if err != nil {
		return api.Picture{}, err
	}
	return api.Picture{HTML: bundle.HTML, Text: bundle.Text}, nil
}

// number reads a whole number between least and most from the query string.
func number(r *http.Request, name string, otherwise, least, most int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, badRequest("%s=%s is not a whole number", name, text)
	}
	if n < least || n > most {
		return 0, badRequest("%s=%s is not between %d and %d", name, text, least, most)
	}
	return n, nil
}

// requestDeadline bounds the waiting for services that a request does beyond
// its own context.
const requestDeadline = 30 * time.Second
