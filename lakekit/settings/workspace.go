package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"taxilake/lakekit/blob"
)

// ErrOutside is wrapped by the refusal of what is not this workspace's.
var ErrOutside = errors.New("outside of the workspace")

// Use is what somebody wants of a topic or an address.
type Use string

const (
	Read   Use = "read"
	Change Use = "change"
)

// CheckTopic tells whether a topic may be read or changed: in a workspace its own
// ones, which begin with its name and a dot, and those of SharedWorkspaces to
// read. Where everybody has the same key to Kafka, nothing else keeps them apart.
func (s *Settings) CheckTopic(name string, use Use) error {
	owner, _, owned := strings.Cut(name, ".")
	if !owned {
		owner = ""
	}
	return s.check("topic "+name, owner, "topics begin with "+s.TopicInWorkspace(""), use)
}

// CheckAddress returns the key of an address in the workshop's bucket that may be
// read or changed: in a workspace what is below its folder, and below those of
// SharedWorkspaces to read. The address of a bucket has the key "".
func (s *Settings) CheckAddress(uri string, use Use) (key string, err error) {
	bucket := "oss://" + s.OSS.Bucket
	key, found := strings.CutPrefix(uri, bucket+"/")
	if !found && uri != bucket {
		return "", fmt.Errorf("%q is not an address in the workshop's bucket; they begin with %s/", uri, bucket)
	}
	if !found {
		key = ""
	}
	key = strings.TrimSuffix(key, "/")
	if key != "" {
		if err := blob.CheckKey(key); err != nil {
			return "", fmt.Errorf("%q is not an address of the object store: %w", uri, err)
		}
		if strings.ContainsFunc(key, unicode.IsControl) || strings.HasSuffix(key, " ") {
			return "", fmt.Errorf("%q is not an address in the workshop's bucket: it has a line break or another control character in it, or ends with a space", uri)
		}
	}
	owner, _, _ := strings.Cut(key, "/")
	return key, s.check(bucket+"/"+key, owner, "folder is "+bucket+"/"+s.Folder(), use)
}

func (s *Settings) check(what, owner, own string, use Use) error {
	shared := slices.Contains(s.SharedWorkspaces, owner)
	switch {
	case s.Workspace == "" || owner == s.Workspace || shared && use == Read:
		return nil
	case shared:
		return fmt.Errorf("%s is %w %s, whose %s: of workspace %s, which LAKEKIT_SHARED_WORKSPACES names, this server reads only", what, ErrOutside, s.Workspace, own, owner)
	}
	return fmt.Errorf("%s is %w %s, whose %s: to read what another workspace shares, name that in LAKEKIT_SHARED_WORKSPACES in .env, then `lakekit down` and `lakekit up`", what, ErrOutside, s.Workspace, own)
}
