package settings

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"taxilake/lakekit/kafka/properties"
)

// The profiles: where Kafka and the object store are. The notebooks are the same.
const (
	Embedded = "embedded" // processes of this kit, on this machine
	Docker   = "docker"   // Apache Kafka and MinIO, usually from docker/compose.yaml
	Cloud    = "cloud"    // Confluent Cloud or another Kafka, and Aliyun OSS
)

// Names of the course. A workspace goes before each of them.
const (
	TopicName      = "nyc_taxi_data"
	BucketName     = "lake"
	TableName      = "taxi_record"
	DeadLetterName = TableName + "_dead_letters"
)

// Settings says where the workshop's services are and what its topic, table
// and folders are called.
type Settings struct {
	Home      string // the repository, or the folder of a workshop outside of it
	State     string // everything the services keep: data, logs, addresses
	Profile   string
	Workspace string // prefix of a student's names on shared services, or ""
	// SharedWorkspaces are other workspaces whose topics and tables may be read.
	SharedWorkspaces []string
	TimeZone         string // session time zone of SQL
	Listen           string // address at which the workshop server listens: loopback, but in a container

	Topic       string // Kafka topic
	Table       string // oss:// address of the Delta table
	Checkpoint  string // oss:// address of the streaming query's checkpoint
	DeadLetters string // oss:// address of the Delta table of refused records

	Kafka  properties.Properties // of librdkafka
	OSS    OSS
	Class  Class
	Server Server
	SQL    SQL
}

// Class is where the students of a class reach the services of profile docker;
// empty without CLASS_ADDRESS.
type Class struct {
	Kafka    string // host:port of the listener that asks for a login
	Endpoint string // of the object store
}

// OSS is the object store in the terms of the Aliyun SDK.
type OSS struct {
	Endpoint      string // http://127.0.0.1:9000
	Region        string
	Bucket        string
	AccessKeyID   string
	Secret        Secret
	SecurityToken Secret // of temporary credentials (STS), or ""
	S3            bool   // the store speaks S3, as MinIO does, and not OSS
	// LocalDir is the folder in which the embedded store keeps its buckets as
	// plain files, or "".
	LocalDir string
}

// Server is the workshop server.
type Server struct {
	URL   string // http://127.0.0.1:8080, or "" while it is not running
	Token Secret
}

// Secret is a text that no log, page or JSON shows. Reveal gives its value.
type Secret string

// Reveal returns the secret itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

var workspaceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// CheckWorkspace refuses what cannot be the name of a workspace.
func CheckWorkspace(name string) error {
	if workspaceName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q cannot be used in topic and folder names; use up to 31 small letters, digits and hyphens, such as alice", name)
}

// Load reads the settings that hold in the current folder. It fails when that is
// not inside the repository or a folder with a state folder .lakekit, and on values
// it cannot use; it does not ask whether the services answer.
func Load() (*Settings, error) {
	home, err := findHome()
	if err != nil {
		return nil, err
	}
	env, err := readEnvironment(filepath.Join(home, ".env"))
	if err != nil {
		return nil, err
	}
	if err := env.checkProfile(); err != nil {
		return nil, err
	}
	profile := env.get("LAKEKIT_PROFILE", Embedded)
	s := &Settings{
		Home:      home,
		State:     env.get("LAKEKIT_STATE", stateFolder(home, profile)),
		Profile:   profile,
		Workspace: env.get("LAKEKIT_WORKSPACE", ""),
		TimeZone:  env.get("LAKEKIT_TIMEZONE", "UTC"),
		Listen:    env.get("LAKEKIT_LISTEN", "127.0.0.1"),
	}
	if !filepath.IsAbs(s.State) { // the same folder from wherever it is asked for
		s.State = filepath.Join(home, s.State)
	}
	if _, err := time.LoadLocation(s.TimeZone); err != nil {
		return nil, fmt.Errorf("LAKEKIT_TIMEZONE=%q is not a time zone; use a name such as UTC or America/New_York", s.TimeZone)
	}
	if s.Workspace != "" {
		if err := CheckWorkspace(s.Workspace); err != nil {
			return nil, fmt.Errorf("LAKEKIT_WORKSPACE: %w", err)
		}
	}
	for name := range strings.FieldsFuncSeq(env.get("LAKEKIT_SHARED_WORKSPACES", ""), func(c rune) bool { return c == ',' || c == ' ' }) {
		if err := CheckWorkspace(name); err != nil {
			return nil, fmt.Errorf("LAKEKIT_SHARED_WORKSPACES: %w", err)
		}
		s.SharedWorkspaces = append(s.SharedWorkspaces, name)
	}
	if net.ParseIP(s.Listen) == nil {
		return nil, fmt.Errorf("LAKEKIT_LISTEN=%q is not an IP address; leave it out for 127.0.0.1", s.Listen)
	}
	if s.SQL, err = env.sql(); err != nil {
		return nil, err
	}
	switch s.Profile {
	case Embedded:
		s.OSS = OSS{Bucket: BucketName, Region: "local", LocalDir: filepath.Join(s.State, "oss")}
	case Docker:
		err = s.readDocker(env)
	case Cloud:
		err = s.readCloud(env)
	default:
		return nil, fmt.Errorf("LAKEKIT_PROFILE=%q is not a profile of this kit; it has: %s, %s, %s", s.Profile, Embedded, Docker, Cloud)
	}
	if err != nil {
		return nil, err
	}
	s.nameThings()
	return s, s.readState()
}

// stateFolder is another one for each profile: what a server remembers holds for
// the services on which it met it.
func stateFolder(home, profile string) string {
	folder := filepath.Join(home, stateName)
	if profile == Embedded {
		return folder
	}
	return filepath.Join(folder, profile)
}

func (s *Settings) nameThings() {
	s.Topic = s.TopicInWorkspace(TopicName)
	s.Table = s.uri("delta/" + TableName)
	s.DeadLetters = s.uri("delta/" + DeadLetterName)
	s.Checkpoint = s.uri("checkpoints/" + TableName)
}

// TopicInWorkspace is the name that a topic has on services which a class shares.
func (s *Settings) TopicInWorkspace(name string) string {
	if s.Workspace == "" {
		return name
	}
	return s.Workspace + "." + name
}

// Folder is the part of the bucket that is this workspace's, as a prefix of
// keys: "" or "alice/".
func (s *Settings) Folder() string {
	if s.Workspace == "" {
		return ""
	}
	return s.Workspace + "/"
}

func (s *Settings) uri(key string) string { return "oss://" + s.OSS.Bucket + "/" + s.Folder() + key }

// TableURI is the address of a table given by its name or by its address.
func (s *Settings) TableURI(nameOrURI string) string {
	if strings.Contains(nameOrURI, "/") {
		return strings.TrimSuffix(nameOrURI, "/")
	}
	return s.Table[:strings.LastIndexByte(s.Table, '/')+1] + nameOrURI
}

// readState fills in what the running processes have written.
func (s *Settings) readState() error {
	secrets, err := readSecrets(s.State)
	if err != nil {
		return err
	}
	s.Server.Token = Secret(secrets.Token)
	addresses := map[Role]string{}
	for _, role := range s.Roles() {
		// What a crash has damaged is as good as absent: whether a service
		// lives, only its lock tells.
		if process, err := ReadProcess(s.State, role); err == nil {
			addresses[role] = process.Address
		}
	}
	if a := addresses[Workshop]; a != "" {
		s.Server.URL = "http://" + a
	}
	if s.Profile != Embedded {
		return nil
	}
	s.OSS.AccessKeyID, s.OSS.Secret = secrets.AccessKeyID, Secret(secrets.AccessKeySecret)
	s.Kafka = properties.Properties{"bootstrap.servers": addresses[Broker]}
	if a := addresses[Store]; a != "" {
		s.OSS.Endpoint = "http://" + a
	}
	return nil
}

// findHome is LAKEKIT_HOME, else the next home from the working folder upwards, so
// that a notebook, a script and a shell anywhere inside it mean the same workshop.
func findHome() (string, error) {
	if home := os.Getenv("LAKEKIT_HOME"); home != "" {
		if !isHome(home) {
			return "", fmt.Errorf("LAKEKIT_HOME=%s is not the taxilake repository, nor a folder with a workshop of its own: "+
				"`mkdir -p %s` makes it one", home, filepath.Join(home, stateName))
		}
		return filepath.Abs(home)
	}
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the workshop's folder: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if isHome(dir) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside the taxilake repository, nor inside a folder with a workshop of its own: change into one, "+
				"set LAKEKIT_HOME to its folder, or begin a workshop here with `mkdir %s`", start, stateName)
		}
	}
}

// stateName is the state folder in a home, and the mark of one outside of the
// repository, where lakekit is an installed program.
const stateName = ".lakekit"

// isHome tells the repository, or a folder with a state folder.
func isHome(dir string) bool {
	if info, err := os.Stat(filepath.Join(dir, stateName)); err == nil && info.IsDir() {
		return true
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && strings.HasPrefix(string(mod), "module taxilake\n")
}

// names are the kit's own settings; docker/compose.yaml reads LAKEKIT_PORT. Those
// of Kafka and of the object store have the names that their users know.
var names = []string{"LAKEKIT_HOME", "LAKEKIT_STATE", "LAKEKIT_PROFILE", "LAKEKIT_WORKSPACE", "LAKEKIT_SHARED_WORKSPACES", "LAKEKIT_TIMEZONE", "LAKEKIT_LISTEN", "LAKEKIT_PORT",
	"LAKEKIT_SQL_MEMORY", "LAKEKIT_SQL_TIME", "LAKEKIT_SQL_RESULT", "LAKEKIT_SQL_TEXT", "LAKEKIT_SQL_TEMP", "LAKEKIT_SQL_WAITING"}

// Setting is a setting by the name that it has in .env.
type Setting struct{ Name, Value string }

// List gives the settings that hold, without secrets.
func (s *Settings) List() []Setting {
	list := []Setting{
		{"LAKEKIT_PROFILE", s.Profile},
		{"LAKEKIT_WORKSPACE", s.Workspace},
		{"LAKEKIT_SHARED_WORKSPACES", strings.Join(s.SharedWorkspaces, ",")},
		{"LAKEKIT_HOME", s.Home},
		{"LAKEKIT_STATE", s.State},
		{"LAKEKIT_TIMEZONE", s.TimeZone},
		{"LAKEKIT_LISTEN", s.Listen},
	}
	list = append(list, s.SQL.list()...)
	for _, known := range kafkaVariables {
		list = append(list, Setting{known.variable, s.Kafka.Shown(known.property)})
	}
	return append(list,
		Setting{"OSS_ENDPOINT", s.OSS.Endpoint},
		Setting{"OSS_REGION", s.OSS.Region},
		Setting{"OSS_BUCKET", s.OSS.Bucket},
		Setting{"OSS_ACCESS_KEY_ID", s.OSS.AccessKeyID},
		Setting{"OSS_ACCESS_KEY_SECRET", s.OSS.Secret.String()},
		Setting{"OSS_SESSION_TOKEN", s.OSS.SecurityToken.String()},
	)
}

type environment map[string]string

// get prefers the process's environment over the file, as docker compose does: a
// variable that is set to nothing there means the default.
func (e environment) get(name, otherwise string) string {
	value, set := os.LookupEnv(name)
	if !set {
		value = e[name]
	}
	return cmp.Or(value, otherwise)
}

// checkProfile refuses a file that says where services are, but not that they are
// to be used.
func (e environment) checkProfile() error {
	if _, set := os.LookupEnv("LAKEKIT_PROFILE"); set || e["LAKEKIT_PROFILE"] != "" {
		return nil
	}
	for _, name := range []string{"KAFKA_BOOTSTRAP_SERVERS", "KAFKA_CLIENT_PROPERTIES", "OSS_ENDPOINT"} {
		if e[name] != "" {
			return fmt.Errorf(".env has %s, but no LAKEKIT_PROFILE, without which the kit's own Kafka and object store are used: add LAKEKIT_PROFILE=%s, or take the line out", name, Cloud)
		}
	}
	return nil
}

// readEnvironment reads NAME=value lines as docker compose does: # comments, also
// after a value, an optional export, optional quotes around the value. Variables
// and ~ are not expanded, and refused rather than taken for names of folders; in
// single quotes they are what they are.
func readEnvironment(path string) (environment, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading settings: %w", err)
	}
	defer f.Close()
	env := environment{}
	text := bufio.NewReader(f)
	if mark, err := text.Peek(3); err == nil && string(mark) == "\ufeff" {
		text.Discard(len(mark))
	}
	lines := bufio.NewScanner(text)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export "))
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		switch {
		case !found || name == "":
			return nil, fmt.Errorf("reading settings: %s line %d: want NAME=value", path, n)
		case strings.HasPrefix(name, "LAKEKIT_") && !slices.Contains(names, name):
			return nil, fmt.Errorf("reading settings: %s line %d: there is no setting %s; there are %s", path, n, name, strings.Join(names, ", "))
		}
		value = strings.TrimSpace(value)
		env[name] = plain(value)
		if literal := strings.HasPrefix(value, "'"); !literal && (strings.HasPrefix(env[name], "~") || strings.Contains(env[name], "$")) {
			return nil, fmt.Errorf("reading settings: %s line %d: ~ and $ are not expanded here: write the value of %s in full, or in single quotes if the sign belongs to it", path, n, name)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading settings: %s: %w", path, err)
	}
	return env, nil
}

// plain takes the quotes off a value, or the comment behind one without quotes.
func plain(value string) string {
	if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		return value[1 : len(value)-1]
	}
	if comment := strings.Index(value, " #"); comment >= 0 {
		return strings.TrimSpace(value[:comment])
	}
	return value
}
