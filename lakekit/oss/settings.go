package oss

import (
	"path/filepath"

	"taxilake/lakekit/settings"
)

// ConfigOf is what reaches the bucket that the settings name.
func ConfigOf(o settings.OSS) ClientConfig {
	config := ClientConfig{
		Endpoint: o.Endpoint, Region: o.Region, Bucket: o.Bucket, S3: o.S3,
		AccessKeyID: o.AccessKeyID, AccessKeySecret: o.Secret.Reveal(), SecurityToken: o.SecurityToken.Reveal(),
	}
	if o.LocalDir != "" {
		config.LocalDir = filepath.Join(o.LocalDir, o.Bucket)
	}
	return config
}
