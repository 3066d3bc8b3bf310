package server

import (
	"context"
	"errors"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/oss"
	"taxilake/lakekit/settings"
)

// OpenBucket connects to the workshop's bucket.
func OpenBucket(s *settings.Settings) (blob.Bucket, error) {
	if s.OSS.Endpoint == "" {
		return nil, errors.New("connecting to the object store: it is not running: `lakekit up` starts it")
	}
	return oss.NewClient(oss.ConfigOf(s.OSS))
}

// prepareStore is called before the first table or checkpoint is written. It
// makes the bucket of a MinIO that is new, and proves put-if-absent, on which
// every commit of a Delta table rests. Once is enough while the server lives.
func (s *Server) prepareStore(ctx context.Context) error {
	s.storeMutex.Lock()
	defer s.storeMutex.Unlock()
	if s.storeProven {
		return nil
	}
	folder := blob.Prefix(s.bucket, s.settings.Folder())
	err := oss.ProvePutIfAbsent(ctx, folder)
	if errors.Is(err, blob.ErrNoBucket) && s.settings.OSS.S3 {
		if err := createBucket(ctx, s.settings); err != nil {
			return err
		}
		err = oss.ProvePutIfAbsent(ctx, folder)
	}
	s.storeProven = err == nil
	return err
}

func createBucket(ctx context.Context, s *settings.Settings) error {
	client, err := oss.NewClient(oss.ConfigOf(s.OSS))
	if err != nil {
		return err
	}
	return errors.Join(client.CreateBucket(ctx), client.Close())
}
