#!/bin/sh
# Replaces the running containers of compose services by ones of the image that the compose file names now, new ones
# first: as many are started beside the old ones, and when they are healthy the old ones are stopped, which hands their
# steps over. Build or pull the image before.
#
#   docker compose build worker && scripts/roll-containers.sh worker control
#
# Takes project, profiles and settings as compose does (COMPOSE_PROJECT_NAME, COMPOSE_PROFILES, .env). If the new ones do
# not become healthy, they are removed and the old ones go on. STOP_SECONDS=60 is the time to stop.
set -eu
cd "$(dirname "$0")/.."

[ "$#" -gt 0 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }

compose() {
  if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

# Those of the containers that are not healthy.
unhealthy() {
  for id in $1; do
    [ "$(docker inspect --format '{{.State.Health.Status}}' "$id")" = healthy ] || echo "$id"
  done
}

# The containers of a service that are not among the old ones.
newer() {
  for id in $(compose ps -q "$1"); do
    case " $2 " in *" $id "*) ;; *) echo "$id" ;; esac
  done
}

wait_until_healthy() {
  waited=0
  while [ -n "$(unhealthy "$1")" ]; do
    [ "$waited" -lt 180 ] || return 1
    sleep 2
    waited=$((waited + 2))
  done
}

roll() {
  old=$(compose ps -q "$1" | tr '\n' ' ')
  count=$(echo "$old" | wc -w)
  compose up --detach --no-deps --no-build --no-recreate --scale "$1=$((2 * count))" "$1"
  new=$(newer "$1" "$old")
  if ! wait_until_healthy "$new"; then
    docker logs --tail 20 "$(unhealthy "$new" | head -n 1)" >&2
    # shellcheck disable=SC2086  # a list of ids
    docker rm --force $new >/dev/null
    echo "The new containers of $1 did not become healthy and are removed; the old ones go on." >&2
    return 1
  fi
  # shellcheck disable=SC2086
  docker stop --time "${STOP_SECONDS:-60}" $old >/dev/null
  # shellcheck disable=SC2086
  docker rm $old >/dev/null
  echo "$1: $count rolled"
}

for service in "$@"; do
  roll "$service"
done
