package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/query"
	"taxilake/lakekit/settings"
	"taxilake/lakekit/taxi"
)

// taxiSchema is the course's table: every column nullable, as Spark makes it from
// a JSON stream.
func taxiSchema() delta.Schema {
	var schema delta.Schema
	for _, field := range taxi.Schema() {
		schema.Fields = append(schema.Fields, delta.Field{Name: field.Name, Type: delta.Primitive(field.Type), Nullable: true})
	}
	return schema
}

// required are the fields without which a record is refused.
func required() []string {
	var names []string
	for _, field := range taxi.Schema() {
		if !field.Nullable {
			names = append(names, field.Name)
		}
	}
	return names
}

// autoOptimize are the properties that the course sets.
var autoOptimize = map[string]string{
	"delta.autoOptimize.optimizeWrite": "true",
	"delta.autoOptimize.autoCompact":   "true",
}

// createTable makes the table of taxi records, or returns the one that is there
// if it has the properties that were asked for.
func (s *Server) createTable(r *http.Request) (api.TableDetail, error) {
	request, err := body[lakekit.TableOptions](r)
	if err != nil {
		return api.TableDetail{}, err
	}
	uri := s.tableURI(cmp.Or(request.URI, s.settings.Table))
	root, err := s.folder(uri)
	if err != nil {
		return api.TableDetail{}, err
	}
	properties := request.Properties
	if properties == nil {
		properties = autoOptimize
	}
	definition := delta.Definition{Name: filepath.Base(uri), Schema: taxiSchema(), Properties: properties}
	if err := s.prepareStore(r.Context()); err != nil {
		return api.TableDetail{}, err
	}
	_, err = delta.Create(r.Context(), root, definition)
	exists := errors.Is(err, delta.ErrTableExists)
	if err != nil && !exists {
		return api.TableDetail{}, err
	}
	detail, err := s.detail(r.Context(), uri)
	if err != nil {
		return api.TableDetail{}, err
	}
	if others := differences(request.Properties, detail.Properties); exists && len(others) > 0 {
		return api.TableDetail{}, conflict("table %s exists with other properties: %s; use it as it is (ask for no properties), choose another name, or begin anew with `lakekit reset`",
			uri, strings.Join(others, ", "))
	}
	return detail, nil
}

// differences names the properties that are not what was asked for; case does
// not count in their names.
func differences(asked, has map[string]string) []string {
	lower := map[string]string{}
	for key, value := range has {
		lower[strings.ToLower(key)] = value
	}
	var others []string
	for _, key := range slices.Sorted(maps.Keys(asked)) {
		switch value, set := lower[strings.ToLower(key)]; {
		case !set:
			others = append(others, fmt.Sprintf("%s is not set, %s was asked for", key, asked[key]))
		case value != asked[key]:
			others = append(others, fmt.Sprintf("%s is %s, %s was asked for", key, value, asked[key]))
		}
	}
	return others
}

func (s *Server) detail(ctx context.Context, uri string) (api.TableDetail, error) {
	table, err := s.table(ctx, uri)
	if err != nil {
		return api.TableDetail{}, err
	}
	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		return api.TableDetail{}, err
	}
	return api.TableDetail(snapshot.Detail()), nil
}

// asked is the table that the request's uri parameter names.
func (s *Server) asked(r *http.Request) (*delta.Table, error) {
	return s.table(r.Context(), cmp.Or(r.URL.Query().Get("uri"), s.settings.Table))
}

func (s *Server) describeTable(r *http.Request) (api.TableDetail, error) {
	return s.detail(r.Context(), cmp.Or(r.URL.Query().Get("uri"), s.settings.Table))
}

func (s *Server) tableHistory(r *http.Request) ([]api.HistoryEntry, error) {
	limit, err := number(r, "limit", 0, 1, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	table, err := s.asked(r)
	if err != nil {
		return nil, err
	}
	entries, err := table.History(r.Context(), int(limit))
	return History(entries), err
}

func (s *Server) tableFiles(r *http.Request) ([]api.FileInfo, error) {
	n, err := number(r, "version", 0, 0, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	var version *int64
	if r.URL.Query().Has("version") {
		version = &n
	}
	table, err := s.asked(r)
	if err != nil {
		return nil, err
	}
	snapshot, err := SnapshotOf(r.Context(), table, version)
	if err != nil {
		return nil, err
	}
	return Files(snapshot.FileInfos()), nil
}

// SnapshotOf is a table as at a version; nil is the newest.
func SnapshotOf(ctx context.Context, table *delta.Table, version *int64) (*delta.Snapshot, error) {
	if version == nil {
		return table.Snapshot(ctx)
	}
	return table.SnapshotAt(ctx, *version)
}

// History is a table's history as it is sent.
func History(entries []delta.HistoryEntry) api.History {
	sent := make([]api.HistoryEntry, len(entries))
	for i, entry := range entries {
		sent[i] = api.HistoryEntry(entry)
	}
	return sent
}

// Files are a table's files as they are sent.
func Files(infos []delta.FileInfo) api.Files {
	sent := make([]api.FileInfo, len(infos))
	for i, info := range infos {
		sent[i] = api.FileInfo(info)
	}
	return sent
}

// listedAtMost bounds the answer to a listing.
const listedAtMost = 10_000

func (s *Server) objects(r *http.Request) ([]api.Object, error) {
	uri := cmp.Or(r.URL.Query().Get("uri"), "oss://"+s.settings.OSS.Bucket+"/"+s.settings.Folder())
	prefix, err := s.within(plain(uri), settings.Read)
	if err != nil {
		return nil, err
	}
	if prefix != "" {
		prefix += "/"
	}
	objects := []api.Object{}
	for object, err := range s.bucket.List(r.Context(), blob.ListOptions{Prefix: prefix, Delimiter: "/"}) {
		if err != nil {
			return nil, err
		}
		if len(objects) == listedAtMost {
			break
		}
		objects = append(objects, api.Object{
			URI: s.bucket.URI(object.Key), Name: strings.TrimPrefix(object.Key, prefix),
			Size: object.Size, LastModified: object.LastModified, IsPrefix: object.IsPrefix,
		})
	}
	if len(objects) == 0 && prefix != "" {
		return nil, notFound("there is nothing at %s", uri)
	}
	return objects, nil
}

// runSQL runs one statement over the workshop's tables. Names are the tables
// beside the course's table; addresses must lie in the workshop's bucket.
func (s *Server) runSQL(ctx context.Context, request api.SQLRequest) (*api.Result, error) {
	return s.engine.Query(ctx, request.SQL, query.Request{
		Tables: s.queryTable,
		TableNames: func(ctx context.Context) []string {
			return TableNames(ctx, s.bucket, s.settings)
		},
		TimeZone: cmp.Or(request.TimeZone, s.settings.TimeZone),
		MaxRows:  request.MaxRows,
	})
}

// queryTable says in SQL's terms that there is no such table.
func (s *Server) queryTable(ctx context.Context, name string) (*delta.Table, error) {
	table, err := s.table(ctx, name)
	if f, ok := errors.AsType[failure](err); ok && f.status == http.StatusNotFound {
		return nil, query.ErrUnknownTable
	}
	return table, err
}

// TableNames lists the tables beside the course's table, for suggestions: it
// returns what it finds and no error.
func TableNames(ctx context.Context, bucket blob.Bucket, s *settings.Settings) []string {
	folder := strings.TrimSuffix(strings.TrimPrefix(s.Table, bucket.URI("")), tableName(s.Table))
	var names []string
	for object, err := range bucket.List(ctx, blob.ListOptions{Prefix: folder, Delimiter: "/"}) {
		if err != nil {
			break
		}
		if object.IsPrefix {
			names = append(names, strings.Trim(strings.TrimPrefix(object.Key, folder), "/"))
		}
	}
	return names
}
