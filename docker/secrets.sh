#!/bin/sh
# Makes the secrets that compose.yaml mounts, each once: run it before the first start. Nothing is ever overwritten.
set -eu
folder="${1:-$(dirname "$0")/secrets}"
umask 077
mkdir -p "$folder"

random() { od -An -N 32 -t x1 /dev/urandom | tr -d ' \n'; }

make() { # name, content: whole or not at all
  if [ -e "$folder/$1" ]; then return; fi
  printf '%s' "$2" > "$folder/.$1.new"
  # Containers run as other users: what keeps strangers out is the folder, which only its owner may enter.
  chmod 0444 "$folder/.$1.new"
  mv "$folder/.$1.new" "$folder/$1"
}

make postgres_password "$(random)"
make redis_password "$(random)"
make secret_key "$(random)"
make metrics_token "$(random)"
make database_url "postgresql://annotator:$(cat "$folder/postgres_password")@postgres:5432/annotator"
make redis_url "redis://:$(cat "$folder/redis_password")@redis:6379/0"
echo "The secrets lie in $folder. Keep a copy apart from the backups."
