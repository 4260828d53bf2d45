package load

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// Redis is a target that asks a Redis server through go-redis and redis_rate, as a Go program would: one EVALSHA a
// check. It costs the generator more than [HTTP] does, so look at the server's time per check before its rate.
type Redis struct {
	Client *redis.Client
}

// NewRedis returns a target with so many connections to the server at addr. Close its Client after use.
func NewRedis(addr string, connections int) Redis {
	return Redis{redis.NewClient(&redis.Options{
		Addr: addr, PoolSize: connections, MinIdleConns: connections, DisableIdentity: true,
		ReadTimeout: timeout, WriteTimeout: timeout,
	})}
}

// Refills is true: redis_rate is GCRA.
func (Redis) Refills() bool { return true }

// Caller returns a caller. For one check a request it is redis_rate as it comes. For more it is redis_rate over a pipeline:
// redis_rate itself has no batch, and without one the comparison would not be fair.
func (t Redis) Caller(_ int, w *Workload, prefix string) (Caller, error) {
	if err := onlyPlain("redis_rate", w); err != nil {
		return nil, err
	}
	limit := redis_rate.Limit{Rate: int(w.Count()), Burst: int(w.Count()), Period: time.Hour}
	if w.Batch == 1 {
		return &redisCaller{limiter: redis_rate.NewLimiter(t.Client), limit: limit, prefix: prefix}, nil
	}
	p := &pipeline{Pipeliner: t.Client.Pipeline()}
	return &redisBatch{redisCaller{limiter: redis_rate.NewLimiter(p), limit: limit, prefix: prefix}, p, t.Client}, nil
}

type redisCaller struct {
	limiter *redis_rate.Limiter
	limit   redis_rate.Limit
	prefix  string
}

func (c *redisCaller) key(k uint32) string { return c.prefix + strconv.Itoa(int(k)) }

func (c *redisCaller) Check(keys []uint32, replies []Reply, _ *Shares) error {
	replies[0] = Failed
	r, err := c.limiter.Allow(context.Background(), c.key(keys[0]), c.limit)
	if err != nil {
		time.Sleep(pause)
		return err
	}
	replies[0] = reply(r.Allowed)
	return nil
}

func (c *redisCaller) Close() {}

func reply(allowed int) Reply {
	if allowed > 0 {
		return Admitted
	}
	return Denied
}

// A redisBatch sends a batch as one pipeline. redis_rate runs its script on whatever it was given, which here is a
// pipeline that takes note of the command and answers at once; what redis_rate makes of that answer is not looked at. Then the
// pipeline is sent, and the real answers are read.
type redisBatch struct {
	redisCaller
	pipe *pipeline
	rdb  *redis.Client
}

func (c *redisBatch) Check(keys []uint32, replies []Reply, _ *Shares) error {
	for i := range replies {
		replies[i] = Failed
	}
	ctx := context.Background()
	c.pipe.sent = c.pipe.sent[:0]
	for _, k := range keys {
		if _, err := c.limiter.Allow(ctx, c.key(k), c.limit); err != nil {
			return err
		}
	}
	_, err := c.pipe.Exec(ctx)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		// The server has not seen the script: one check that is not in a pipeline loads it. That check is not of the
		// account, so it has a key of its own.
		if _, err := redis_rate.NewLimiter(c.rdb).Allow(ctx, "script", c.limit); err != nil {
			return err
		}
		return c.Check(keys, replies, nil)
	}
	if err != nil {
		time.Sleep(pause)
		return err
	}
	for i, cmd := range c.pipe.sent {
		v, err := cmd.Slice()
		if err != nil {
			return err
		}
		n, ok := v[0].(int64)
		if !ok {
			return errors.New("redis_rate's script has answered something else than a number")
		}
		replies[i] = reply(int(n))
	}
	return nil
}

// A pipeline takes note of scripts that are run on it, and answers what redis_rate can read.
type pipeline struct {
	redis.Pipeliner
	sent []*redis.Cmd
}

// later is the stand-in for an answer that is not there yet: admitted, remaining, retry and reset.
var later = []any{int64(0), int64(0), "0", "0"}

func (p *pipeline) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	p.sent = append(p.sent, p.Pipeliner.EvalSha(ctx, sha, keys, args...))
	return redis.NewCmdResult(later, nil)
}
