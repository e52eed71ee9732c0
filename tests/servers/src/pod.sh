# Gives a command the file system that a pod would give it, as the user of the engine's image.
#
# Arguments: the unpacked image, the folder of this pod, and the command. The folder has `engine`, `credentials` and
# `tls` for /etc/portico, `data` and `scratch`. Needs mount and process namespaces of its own, and stays their first
# process, as root, so that the kernel kills it with its parent: a process that changes its user loses that tie.
set -e
image=$1 folder=$2
shift 2
root=$folder/root
# The number that processes outside know this one by: their /proc is still mounted.
read -r number _ </proc/self/stat
mount -t tmpfs -o mode=0755 pod "$root"
for entry in "$image"/*; do
    name=${entry##*/}
    if [ -L "$entry" ]; then
        cp -P "$entry" "$root/$name"
    elif [ "$name" = etc ]; then
        cp -R "$entry" "$root/etc"
    else
        mkdir "$root/$name"
        case "$name" in usr | var) mount --bind "$entry" "$root/$name" ;; esac
    fi
done
mkdir -p "$root/data" "$root/tmp" "$root/run/postgresql" "$root/run/portico"
for name in engine credentials tls; do
    mkdir -p "$root/etc/portico/$name"
    mount --bind -o ro "$folder/$name" "$root/etc/portico/$name"
done
mount --bind "$folder/data" "$root/data"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
chown 999:999 "$root/run/postgresql" "$root/run/portico"
chmod 1777 "$root/tmp"
echo "$number" >"$folder/init.pid"
chroot --userspec=999:999 "$root" "$@" &
wait $!
