package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/ingest"
	"taxilake/lakekit/kafka/properties"
	"taxilake/lakekit/settings"
)

// streams are the streaming queries by name. Those that run are remembered with
// their options, so that a server that was killed resumes them.
type streams struct {
	server *Server
	path   string

	following sync.WaitGroup

	// starting lets streams start one after the other, so that each sees those
	// before it. A start may wait long for the broker or the store, so it is not
	// mutex, under which all others are looked at and stopped.
	starting sync.Mutex

	mutex   sync.Mutex
	queries map[string]*stream
}

type stream struct {
	Request lakekit.StreamOptions `json:"request"`
	// Running is what the user last asked for, until its trigger lets it end.
	Running bool `json:"running"`

	query *ingest.Query
	// failed says why a remembered stream could not be resumed.
	failed error
}

func openStreams(ctx context.Context, s *Server) (*streams, error) {
	all := &streams{server: s, path: ledgerPath(s, "streams"), queries: map[string]*stream{}}
	data, err := os.ReadFile(all.path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &all.queries)
	}
	if err != nil {
		return nil, fmt.Errorf("reading which streams to resume from %s: %w; delete the file to resume none", all.path, err)
	}
	for name, known := range all.queries {
		if !known.Running {
			continue
		}
		if known.query, known.failed = all.open(ctx, known.Request); known.failed != nil {
			s.log.Error("resuming a stream", "stream", name, "error", known.failed)
			continue
		}
		all.follow(known)
	}
	return all, nil
}

var streamName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// complete fills in the course's names and defaults, and gives topics and
// addresses in one writing, so that the same stream is seen to be the same.
func (all *streams) complete(request lakekit.StreamOptions) (lakekit.StreamOptions, error) {
	s := all.server.settings
	request.Table = all.server.tableURI(cmp.Or(request.Table, s.Table))
	request.Name = cmp.Or(request.Name, request.Table[strings.LastIndexByte(request.Table, '/')+1:])
	if !streamName.MatchString(request.Name) {
		return request, badRequest("%q cannot be the name of a stream; use up to 100 letters, digits, dots, hyphens and underscores", request.Name)
	}
	request.Subscribe = strings.Join(topicsOf(cmp.Or(request.Subscribe, s.Topic)), ",")
	checkpoint := s.Checkpoint
	if request.Table != s.Table {
		checkpoint = s.Checkpoint[:strings.LastIndexByte(s.Checkpoint, '/')+1] + request.Name
	}
	request.CheckpointLocation = plain(cmp.Or(request.CheckpointLocation, checkpoint))
	request.StartingOffsets = cmp.Or(request.StartingOffsets, "earliest")
	request.Trigger = cmp.Or(request.Trigger, "1 second")
	options := properties.Properties(request.Kafka)
	for name := range options {
		if options.Shown(name) != options[name] {
			return request, badRequest("%s is a secret, which a stream's options are no place for: put it into the client.properties of the profile", name)
		}
	}
	return request, nil
}

// topicsOf reads the topics of a subscription, sorted.
func topicsOf(subscribe string) []string {
	var topics []string
	for topic := range strings.SplitSeq(subscribe, ",") {
		if topic = strings.TrimSpace(topic); topic != "" {
			topics = append(topics, topic)
		}
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// open starts a query with a context of its own: it outlives the request.
func (all *streams) open(ctx context.Context, request lakekit.StreamOptions) (*ingest.Query, error) {
	s := all.server
	trigger, err := ingest.ParseTrigger(request.Trigger)
	if err != nil {
		return nil, err
	}
	for _, topic := range topicsOf(request.Subscribe) {
		if err := s.settings.CheckTopic(topic, settings.Read); err != nil {
			return nil, err
		}
	}
	if err := s.checkGroup(request.Kafka); err != nil {
		return nil, err
	}
	table, err := s.folder(request.Table)
	if err != nil {
		return nil, err
	}
	checkpoint, err := s.folder(request.CheckpointLocation)
	if err != nil {
		return nil, err
	}
	deadLetters, err := s.deadLetters(request.Table)
	if err != nil {
		return nil, err
	}
	delay, err := ingest.ParseDelay(request.MaxTriggerDelay)
	if err != nil {
		return nil, err
	}
	if err := s.prepareStore(ctx); err != nil {
		return nil, err
	}
	return ingest.Start(ctx, ingest.Options{
		Name:                 request.Name,
		Kafka:                s.kafka,
		KafkaOptions:         request.Kafka,
		Subscribe:            topicsOf(request.Subscribe),
		StartingOffsets:      request.StartingOffsets,
		EndingOffsets:        request.EndingOffsets,
		MaxOffsetsPerTrigger: request.MaxOffsetsPerTrigger,
		MinOffsetsPerTrigger: request.MinOffsetsPerTrigger,
		MaxTriggerDelay:      delay,
		FailOnDataLoss:       request.FailOnDataLoss,
		Trigger:              trigger,
		Table:                table,
		Checkpoint:           checkpoint,
		DeadLetters:          deadLetters,
		IncludeHeaders:       request.IncludeHeaders,
		MergeSchema:          request.MergeSchema,
		IgnoreUnknownFields:  request.IgnoreUnknownFields,
		BufferBytes:          request.BufferBytes,
		Required:             required(),
		Logger:               s.log.With("stream", request.Name),
	})
}

// checkGroup keeps a stream's consumer group in the workspace.
func (s *Server) checkGroup(options map[string]string) error {
	for name, group := range options {
		if properties.Canonical(strings.TrimPrefix(name, "kafka.")) != "group.id" {
			continue
		}
		if own := s.settings.TopicInWorkspace(""); !strings.HasPrefix(group, own) {
			return fmt.Errorf("consumer group %s is %w %s: groups begin with %s", group, settings.ErrOutside, s.settings.Workspace, own)
		}
	}
	return nil
}

// start starts a stream. Asking again for one that runs with the same options
// returns it, so that a notebook can be run twice.
func (all *streams) start(ctx context.Context, request lakekit.StreamOptions) (api.StreamStatus, error) {
	request, err := all.complete(request)
	if err != nil {
		return api.StreamStatus{}, err
	}
	all.starting.Lock()
	defer all.starting.Unlock()
	same, err := all.beside(request)
	if err != nil {
		return api.StreamStatus{}, err
	}
	if same != nil {
		return same.status(), nil
	}
	query, err := all.open(ctx, request)
	if err != nil {
		return api.StreamStatus{}, err
	}
	known := &stream{Request: request, Running: true, query: query}
	all.mutex.Lock()
	defer all.mutex.Unlock()
	all.queries[request.Name] = known
	if err := saveJSON(all.path, all.queries); err != nil {
		return api.StreamStatus{}, errors.Join(err, query.Stop(ctx))
	}
	all.follow(known)
	return query.Status(), nil
}

// maxStreams bounds the streams that run at once: each has its buffer.
const maxStreams = 16

// beside returns the stream if it runs already, and an error if it cannot run
// beside those that do.
func (all *streams) beside(request lakekit.StreamOptions) (same *stream, err error) {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	for _, known := range all.queries {
		known.awaitEnd()
	}
	if same := all.queries[request.Name]; same.active() {
		if !sameStream(same.Request, request) {
			return nil, conflict("stream %s runs already with other options; stop it first: `lakekit stream stop --name %s`, in a notebook lab.Stream(%q).Stop()", request.Name, request.Name, request.Name)
		}
		return same, nil
	}
	active := 0
	for _, other := range all.queries {
		if !other.active() {
			continue
		}
		if active++; active == maxStreams {
			return nil, conflict("%d streams run, and more do not at once: stop one first, `lakekit stream status` lists them", active)
		}
		if err := collision(other.Request, request); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// follow waits for the end of a stream. One whose trigger let it end has done
// what was asked for: the next server does not resume it.
func (all *streams) follow(known *stream) {
	all.following.Go(func() {
		<-known.query.Done()
		if !known.query.Finished() {
			return
		}
		all.mutex.Lock()
		defer all.mutex.Unlock()
		known.Running = false
		if err := saveJSON(all.path, all.queries); err != nil {
			all.server.log.Error("noting the end of a stream", "stream", known.Request.Name, "error", err)
		}
	})
}

// sameStream says that two requests mean the same.
func sameStream(a, b lakekit.StreamOptions) bool {
	yes := true
	for _, r := range []*lakekit.StreamOptions{&a, &b} {
		r.FailOnDataLoss, r.IgnoreUnknownFields = cmp.Or(r.FailOnDataLoss, &yes), cmp.Or(r.IgnoreUnknownFields, &yes)
	}
	sameKafka := maps.Equal(a.Kafka, b.Kafka)
	a.Kafka, b.Kafka = nil, nil
	return reflect.DeepEqual(a, b) && sameKafka
}

// collision says why a stream cannot run beside another one.
func collision(running, request lakekit.StreamOptions) error {
	if running.CheckpointLocation == request.CheckpointLocation {
		return conflict("stream %s runs already with checkpoint %s; two streams on one checkpoint would take each other's records: stop it first, or name another checkpointLocation",
			running.Name, request.CheckpointLocation)
	}
	if running.Table != request.Table {
		return nil
	}
	for _, topic := range topicsOf(request.Subscribe) {
		if slices.Contains(topicsOf(running.Subscribe), topic) {
			return conflict("stream %s streams topic %s into %s already; with a second stream every record would be there twice: stop it first (`lakekit stream stop --name %s`), or name another table",
				running.Name, topic, request.Table, running.Name)
		}
	}
	return nil
}

func (all *streams) find(name string) (*stream, error) {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	if known := all.queries[name]; known != nil {
		return known, nil
	}
	if len(all.queries) == 0 {
		return nil, notFound("there is no stream %q, nor any other: start one with %s", name, howToStart(name))
	}
	return nil, notFound("there is no stream %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(all.queries)), ", "))
}

func howToStart(name string) string {
	if name == settings.TableName {
		return "`lakekit stream start`, or the cell of lesson 03"
	}
	return fmt.Sprintf("`lakekit stream start --name %s`, or the cell of lesson 03", name)
}

func (known *stream) active() bool {
	return known != nil && known.query != nil && known.query.Status().IsActive
}

// awaitEnd waits for a stream that only closes its connections any more: it is
// in nobody's way.
func (known *stream) awaitEnd() {
	if known.query != nil && (known.query.Err() != nil || known.query.Finished()) {
		<-known.query.Done()
	}
}

// status is what the stream is doing, or why it ended.
func (known *stream) status() api.StreamStatus {
	if known.query != nil {
		return known.query.Status()
	}
	status := api.StreamStatus{
		Name: known.Request.Name, Message: "Stopped", BatchID: -1,
		Subscribe: topicsOf(known.Request.Subscribe), Table: known.Request.Table,
		Checkpoint: known.Request.CheckpointLocation, Trigger: known.Request.Trigger,
	}
	if known.failed != nil {
		status.Message, status.Error = "Could not be resumed", known.failed.Error()
	}
	return status
}

func (all *streams) list() []api.StreamStatus {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	list := make([]api.StreamStatus, 0, len(all.queries))
	for _, known := range all.queries {
		list = append(list, known.status())
	}
	slices.SortFunc(list, func(a, b api.StreamStatus) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// stop ends a stream because the user wants it ended. One that has ended before
// stays as it is, and its status says why; it is not resumed any more.
func (all *streams) stop(ctx context.Context, name string, mode api.StopMode) (api.StreamStatus, error) {
	known, err := all.find(name)
	if err != nil {
		return api.StreamStatus{}, err
	}
	if known.query != nil {
		// Why it had failed is no failure of the stop.
		if err := stopQuery(ctx, known.query, mode); err != nil && ctx.Err() != nil {
			return api.StreamStatus{}, err
		}
	}
	all.mutex.Lock()
	defer all.mutex.Unlock()
	known.Running = false
	return known.status(), saveJSON(all.path, all.queries)
}

func stopQuery(ctx context.Context, query *ingest.Query, mode api.StopMode) error {
	switch mode {
	case api.StopNow:
		return query.StopNow()
	case api.StopDrained:
		return query.Drain(ctx)
	}
	return query.Stop(ctx)
}

// close stops all streams and remembers which were running.
func (all *streams) close(ctx context.Context) error {
	all.starting.Lock()
	defer all.starting.Unlock()
	var failed error
	for _, known := range all.running() {
		failed = errors.Join(failed, known.query.Stop(ctx))
	}
	all.following.Wait()
	return failed
}

func (all *streams) running() []*stream {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	var list []*stream
	for _, known := range all.queries {
		if known.active() {
			list = append(list, known)
		}
	}
	return list
}

// forget drops all streams, after they were stopped.
func (all *streams) forget() error {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	clear(all.queries)
	return saveJSON(all.path, all.queries)
}

func (s *Server) listStreams(*http.Request) ([]api.StreamStatus, error) {
	return s.streams.list(), nil
}

func (s *Server) startStream(r *http.Request) (api.StreamStatus, error) {
	request, err := body[lakekit.StreamOptions](r)
	if err != nil {
		return api.StreamStatus{}, err
	}
	return s.streams.start(r.Context(), request)
}

func (s *Server) streamStatus(r *http.Request) (api.StreamStatus, error) {
	known, err := s.streams.find(r.PathValue("name"))
	if err != nil {
		return api.StreamStatus{}, err
	}
	return known.status(), nil
}

func (s *Server) streamProgress(r *http.Request) ([]api.StreamProgress, error) {
	known, err := s.streams.find(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if known.query == nil {
		return []api.StreamProgress{}, nil
	}
	return known.query.RecentProgress(), nil
}

// processAllAvailable answers when everything that was in the topic at the time
// of the call is in the table.
func (s *Server) processAllAvailable(r *http.Request) (api.StreamStatus, error) {
	known, err := s.streams.find(r.PathValue("name"))
	if err != nil {
		return api.StreamStatus{}, err
	}
	if known.query == nil {
		return api.StreamStatus{}, known.notRunning(known.failed)
	}
	if err := known.query.ProcessAllAvailable(r.Context()); err != nil && r.Context().Err() == nil {
		return api.StreamStatus{}, known.notRunning(known.query.Err())
	}
	return known.status(), r.Context().Err()
}

// notRunning refuses what only a running stream can do; why may be nil.
func (known *stream) notRunning(why error) error {
	name := known.Request.Name
	if why == nil {
		return conflict("stream %s is not running: start it with %s; it goes on where it was", name, howToStart(name))
	}
	return conflict("stream %s is not running: %w; when that is put right, start it with %s", name, why, howToStart(name))
}

func (s *Server) stopStream(r *http.Request) (api.StreamStatus, error) {
	request, err := body[api.StopRequest](r)
	if err != nil {
		return api.StreamStatus{}, err
	}
	switch request.Mode {
	case api.StopAfterBatch, api.StopDrained, api.StopNow:
		return s.streams.stop(r.Context(), r.PathValue("name"), request.Mode)
	}
	return api.StreamStatus{}, badRequest("mode %q: a stream stops after the batch it writes (no mode), %s or %s", request.Mode, api.StopDrained, api.StopNow)
}
