// Package class gives each student of a class credentials of their own for the
// Kafka and the MinIO that all of them share (profile docker): a SCRAM user whose
// ACLs open nothing but the student's topics, and temporary keys that open
// nothing but the student's folder.
//
// Caveats: the keys end at the time they were made for, and before it only with
// MinIO's root password; enrolling a student again makes a new password and new
// keys, and the old keys stay valid until their end.
package class

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"taxilake/lakekit/kafka"
	"taxilake/lakekit/oss"
	"taxilake/lakekit/settings"
)

// Options of a class.
type Options struct {
	Lifetime time.Duration // of the keys
	Folder   string        // of the files of settings; made when missing
}

// Class enrolls students with the rights of whom the settings name, who must be
// the administrator of both services.
type Class struct {
	settings *settings.Settings
	options  Options
	admin    *kafka.Admin
}

// Errors of Open, to be tested with errors.Is.
var (
	// ErrProfile is returned for a profile whose services give no credentials.
	ErrProfile = errors.New("no credentials to give")
	// ErrAddress is returned when the settings do not say where students reach the services.
	ErrAddress = errors.New("no address for the students")
)

// Open connects as administrator, and makes the bucket, which no student may.
func Open(ctx context.Context, s *settings.Settings, options Options) (*Class, error) {
	if s.Profile != settings.Docker {
		return nil, fmt.Errorf("opening a class: %w in profile %s: a class shares the Kafka and the MinIO of profile docker; in a cloud, its console makes users and keys, and LAKEKIT_WORKSPACE keeps the students apart", ErrProfile, s.Profile)
	}
	if s.Class == (settings.Class{}) {
		return nil, fmt.Errorf("opening a class: %w: write the address that this machine has in the classroom's network into .env, such as CLASS_ADDRESS=192.168.1.10, then run `make docker-up`", ErrAddress)
	}
	store, err := oss.NewClient(oss.ConfigOf(s.OSS))
	if err == nil {
		err = errors.Join(store.CreateBucket(ctx), store.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("opening a class: %w", err)
	}
	admin, err := kafka.NewAdmin(kafka.Config(s.Kafka))
	if err != nil {
		return nil, fmt.Errorf("opening a class: %w", err)
	}
	return &Class{s, options, admin}, nil
}

// Close ends the connection.
func (c *Class) Close() { c.admin.Close() }

// Student is somebody enrolled.
type Student struct {
	Name    string
	Env     string    // path of the file to give to the student as .env
	Expires time.Time // end of the keys
}

// Enroll makes or renews the credentials of a student, and writes the .env with
// which the notebooks use them. Nobody else can read the file.
func (c *Class) Enroll(ctx context.Context, name string) (Student, error) {
	if err := settings.CheckWorkspace(name); err != nil {
		return Student{}, err
	}
	password := rand.Text()
	if err := c.admin.CreateUser(ctx, name, password); err != nil {
		return Student{}, fmt.Errorf("enrolling %s: %w", name, err)
	}
	if err := c.admin.AllowPrefix(ctx, name, name+"."); err != nil {
		return Student{}, fmt.Errorf("enrolling %s: %w", name, err)
	}
	keys, expires, err := oss.Lend(ctx, oss.ConfigOf(c.settings.OSS), name, c.options.Lifetime)
	if err != nil {
		return Student{}, fmt.Errorf("enrolling %s: %w", name, err)
	}
	student := Student{Name: name, Env: filepath.Join(c.options.Folder, name+".env"), Expires: expires}
	return student, writeEnv(student.Env, []settings.Setting{
		{Name: "LAKEKIT_PROFILE", Value: settings.Docker},
		{Name: "LAKEKIT_WORKSPACE", Value: name},
		{Name: "KAFKA_BOOTSTRAP_SERVERS", Value: c.settings.Class.Kafka},
		{Name: "KAFKA_SECURITY_PROTOCOL", Value: "SASL_PLAINTEXT"},
		{Name: "KAFKA_SASL_MECHANISM", Value: "SCRAM-SHA-512"},
		{Name: "KAFKA_SASL_USERNAME", Value: name},
		{Name: "KAFKA_SASL_PASSWORD", Value: password},
		{Name: "OSS_ENDPOINT", Value: c.settings.Class.Endpoint},
		{Name: "OSS_REGION", Value: c.settings.OSS.Region},
		{Name: "OSS_BUCKET", Value: c.settings.OSS.Bucket},
		{Name: "OSS_ACCESS_KEY_ID", Value: keys.AccessKeyID},
		{Name: "OSS_ACCESS_KEY_SECRET", Value: keys.AccessKeySecret},
		{Name: "OSS_SESSION_TOKEN", Value: keys.SecurityToken},
	})
}

// writeEnv quotes values, so that no sign in them means anything.
func writeEnv(path string, lines []settings.Setting) error {
	var text strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&text, "%s='%s'\n", line.Name, line.Value)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing a student's settings: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing a student's settings: %w", err)
	}
	_, err = file.WriteString(text.String())
	if err = errors.Join(err, file.Chmod(0o600), file.Close()); err != nil {
		return fmt.Errorf("writing a student's settings: %w", err)
	}
	return nil
}
