package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"daybreak/pipeline"
)

// file is an object that is open for reading at any place.
type file interface {
	io.ReaderAt
	io.Closer
}

// bucket keeps objects by name. One that is put is there whole or not at all.
type bucket interface {
	// put stores what fill writes under a name, in place of what was there.
	put(ctx context.Context, name string, fill func(io.Writer) error) error
	// open returns an object and its size; pipeline.ErrNotFound where there is none.
	open(ctx context.Context, name string) (file, int64, error)
}

// directory is a bucket in the file system.
type directory string

func (d directory) put(_ context.Context, name string, fill func(io.Writer) error) (err error) {
	target := filepath.Join(string(d), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(target), ".part-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if err := fill(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), target); err != nil {
		return err
	}
	// What was put is the only copy once its day is dropped: the names must be on disk as well.
	if err := errors.Join(syncDirectory(filepath.Dir(target)), syncDirectory(string(d))); err != nil {
		return err
	}
	return f.Close()
}

func syncDirectory(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d directory) open(_ context.Context, name string) (file, int64, error) {
	f, err := os.Open(filepath.Join(string(d), filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%s in %s: %w", name, string(d), pipeline.ErrNotFound)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// s3 is a bucket of an object store.
type s3 struct {
	client *minio.Client
	bucket string
	prefix string
}

// Endpoint is where the object store of s3:// addresses is, and who asks it. The zero value is AWS
// with the credentials of its conventions (environment, file, role).
type Endpoint struct {
	URL    string // http://host:port or https://host
	Region string
	Key    string
	Secret string
}

// openS3 returns the bucket of an address s3://BUCKET/PREFIX.
func openS3(at *url.URL, e Endpoint) (bucket, error) {
	host, secure := "s3.amazonaws.com", true
	if e.URL != "" {
		u, err := url.Parse(e.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("endpoint of the object store is %q, want http://… or https://…", e.URL)
		}
		host, secure = u.Host, u.Scheme == "https"
	}
	who := credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}})
	if e.Key != "" {
		who = credentials.NewStaticV4(e.Key, e.Secret, "")
	}
	client, err := minio.New(host, &minio.Options{Creds: who, Secure: secure, Region: e.Region})
	if err != nil {
		return nil, fmt.Errorf("object store %s: %w", host, err)
	}
	return s3{client: client, bucket: at.Host, prefix: strings.Trim(at.Path, "/")}, nil
}

// partSize is what an upload holds in memory at a time: the least that S3 takes of a part.
const partSize = 5 << 20

func (b s3) put(ctx context.Context, name string, fill func(io.Writer) error) error {
	r, w := io.Pipe()
	filled := make(chan error, 1)
	go func() {
		err := fill(w)
		w.CloseWithError(err) // nil ends the object, anything else ends the upload
		filled <- err
	}()
	_, err := b.client.PutObject(ctx, b.bucket, path.Join(b.prefix, name), r, -1, minio.PutObjectOptions{
		ContentType: "application/vnd.apache.parquet", PartSize: partSize,
	})
	r.CloseWithError(err)
	return errors.Join(<-filled, err)
}

func (b s3) open(ctx context.Context, name string) (file, int64, error) {
	o, err := b.client.GetObject(ctx, b.bucket, path.Join(b.prefix, name), minio.GetObjectOptions{})
	if err != nil {
		return nil, 0, err
	}
	info, err := o.Stat()
	if err == nil {
		return o, info.Size, nil
	}
	err = errors.Join(err, o.Close())
	if minio.ToErrorResponse(err).StatusCode == 404 {
		err = fmt.Errorf("%s in s3://%s: %w", path.Join(b.prefix, name), b.bucket, pipeline.ErrNotFound)
	}
	return nil, 0, err
}
