#!/bin/sh
# Builds the containers and takes a real file of IDs through them once, with the simulator in X's place:
# health, doctor, a batch, its results and events, the time to stop. Afterwards containers and volumes are gone.
#
#   scripts/try-containers.sh           WORKERS=3 transfer workers; KEEP=1 leaves all of it running
#
# Needs a Docker engine with `docker compose` or docker-compose 1.29.
set -eu
cd "$(dirname "$0")/.."

export COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-complyq-try}"
export SIMULATOR_PROCESSING_SECONDS="${SIMULATOR_PROCESSING_SECONDS:-3}"
workers=${WORKERS:-3}
ids=producer/complyq_producer/examples/post-ids.txt.gz

compose() {
  if docker compose version >/dev/null 2>&1; then
    docker compose --profile simulator "$@"
  elif command -v docker-compose >/dev/null; then
    docker-compose --profile simulator "$@"
  else
    echo "Needs Docker's compose: https://docs.docker.com/compose/install/" >&2
    return 1
  fi
}

complyq() {
  compose exec -T simulated-control complyq "$@"
}

remove() {
  if [ "${KEEP:-}" != 1 ]; then
    compose down --volumes --remove-orphans >/dev/null 2>&1 || echo "Could not remove all containers." >&2
  fi
}

# Prints how many containers are not healthy yet.
unhealthy() {
  for id in $(compose ps -q redis simulator simulated-control simulated-worker); do
    docker inspect --format '{{.State.Health.Status}}' "$id"
  done | grep -vc '^healthy$' || true
}

wait_until_healthy() {
  waited=0
  while [ "$(unhealthy)" -gt 0 ]; do
    if [ "$waited" -ge 120 ]; then
      compose ps
      compose logs --tail 20
      echo "Not healthy after $waited seconds." >&2
      return 1
    fi
    sleep 2
    waited=$((waited + 2))
  done
}

stop_and_judge() {
  ids_of_workers=$(compose ps -q simulated-control simulated-worker)
  began=$(date +%s)
  compose stop >/dev/null 2>&1
  echo "Stopped within $(($(date +%s) - began)) seconds."
  for id in $ids_of_workers; do
    code=$(docker inspect --format '{{.State.ExitCode}}' "$id")
    [ "$code" = 0 ] || { echo "A worker ended with exit code $code instead of 0." >&2; return 1; }
  done
}

compose version
trap remove EXIT
trap 'exit 130' INT TERM

compose up --build --detach --scale "simulated-worker=$workers" simulated-control
wait_until_healthy
echo "Redis, the simulator, one control worker and $workers transfer workers are healthy."
complyq doctor </dev/null

echo "A batch from $ids:"
batch=$(gzip -dc "$ids" | complyq enqueue tweets - --json | sed 's/.*"batch_id": *"\([^"]*\)".*/\1/')
complyq watch "$batch" </dev/null
echo "Results: $(complyq results "$batch" </dev/null | wc -l | tr -d ' ') lines. The first event:"
complyq listen --count 1 </dev/null

[ "${KEEP:-}" = 1 ] || stop_and_judge
