package server

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/chart"
	"taxilake/lakekit/kafka"
)

// Handler is the server's HTTP face.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /health", answer(s, s.health))
	mux.HandleFunc("GET /assets/echarts.min.js", s.echarts)
	mux.HandleFunc("GET /{$}", s.page)
	mux.Handle("GET /api/overview", answer(s, s.overview))

	mux.Handle("GET /api/cluster", answer(s, s.cluster))
	mux.Handle("GET /api/topics", answer(s, s.topics))
	mux.Handle("POST /api/topics", answer(s, s.createTopic))
	mux.Handle("GET /api/topics/{name}", answer(s, s.topic))
	mux.Handle("GET /api/topics/{name}/messages", answer(s, s.messages))
	mux.Handle("POST /api/messages", answer(s, s.send))

	mux.Handle("GET /api/traffic", answer(s, s.trafficRuns))
	mux.Handle("POST /api/traffic", answer(s, s.startTraffic))
	mux.Handle("GET /api/traffic/{id}", answer(s, s.trafficRun))
	mux.Handle("POST /api/traffic/{id}/stop", answer(s, s.stopTraffic))

	mux.Handle("POST /api/tables", answer(s, s.createTable))
	mux.Handle("GET /api/table", answer(s, s.describeTable))
	mux.Handle("GET /api/table/history", answer(s, s.tableHistory))
	mux.Handle("GET /api/table/files", answer(s, s.tableFiles))
	mux.Handle("POST /api/table/optimize", maintain(s, func(r api.OptimizeRequest) string { return r.URI }, Optimize))
	mux.Handle("POST /api/table/vacuum", maintain(s, func(r api.VacuumRequest) string { return r.URI }, Vacuum))
	mux.Handle("POST /api/table/restore", maintain(s, func(r api.RestoreRequest) string { return r.URI }, Restore))

	mux.Handle("GET /api/streams", answer(s, s.listStreams))
	mux.Handle("POST /api/streams", answer(s, s.startStream))
	mux.Handle("GET /api/streams/{name}", answer(s, s.streamStatus))
	mux.Handle("GET /api/streams/{name}/progress", answer(s, s.streamProgress))
	mux.Handle("POST /api/streams/{name}/process-all-available", answer(s, s.processAllAvailable))
	mux.Handle("POST /api/streams/{name}/stop", answer(s, s.stopStream))

	mux.Handle("GET /api/dead-letters", answer(s, s.listDeadLetters))
	mux.Handle("POST /api/dead-letters/replay", answer(s, s.replayDeadLetters))

	mux.Handle("GET /metrics", s.metrics())
	mux.Handle("GET /api/objects", answer(s, s.objects))
	mux.Handle("POST /api/sql", answer(s, s.sql))
	mux.Handle("POST /api/charts", answer(s, s.drawChart))
	mux.Handle("GET /api/doctor/kafka", answer(s, s.diagnoseKafka))
	mux.Handle("GET /api/doctor/store", answer(s, s.diagnoseStore))
	mux.Handle("POST /api/verify", answer(s, s.verify))
	mux.Handle("GET /api/reset", answer(s, s.planReset))
	mux.Handle("POST /api/reset", answer(s, s.reset))
	return s.guarded(s.routed(mux))
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
	w.Write(chart.Script(source))
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
	return list, err
}

func (s *Server) topic(r *http.Request) (info api.TopicInfo, err error) {
	err = s.admin(func(a *kafka.Admin) error {
		info, err = a.DescribeTopic(r.Context(), r.PathValue("name"))
		return err
	})
	return info, err
}

func (s *Server) createTopic(r *http.Request) (info api.TopicInfo, err error) {
	request, err := body[api.TopicRequest](r)
	if err != nil {
		return info, err
	}
	err = s.admin(func(a *kafka.Admin) error {
		info, err = a.CreateTopic(r.Context(), kafka.TopicSpec{
			Name:       cmp.Or(request.Name, s.settings.Topic),
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
	partition, err := number(r, "partition", -1, -1, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	offset, err := number(r, "offset", 0, kafka.Earliest, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit", 10, 1, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	const most = 10_000
	messages, err := kafka.Browse(r.Context(), s.kafka, r.PathValue("name"), kafka.BrowseOptions{
		Partition: int32(partition), Offset: offset, Limit: int(min(limit, most)),
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
	renderer, err := s.renderer()
	if err != nil {
		return api.Picture{}, err
	}
	bundle, err := renderer.Bundle([]byte(request.Option), chart.Size{Width: request.Width, Height: request.Height}, s.assetURL())
	if err != nil {
		return api.Picture{}, failure{http.StatusBadRequest, err}
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
