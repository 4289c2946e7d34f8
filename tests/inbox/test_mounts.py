"""What is mounted where is read as the kernel goes, and what others change unseen is told from what they don't."""

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from monet_watch.inbox import mounts
from monet_watch.inbox.mounts import Mounts, mountinfo, needs_polling
from monet_watch.inbox.parts import parts_of

linux = pytest.mark.skipif(sys.platform != "linux", reason="mountinfo is Linux's")

MOUNTS = r"""
21 27 0:20 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 27 0:40 / /mnt/nas rw,relatime shared:2 master:7 - nfs4 nas:/export rw,vers=4.2
31 30 8:1 /photos /mnt/nas/local rw - xfs /dev/sda1 rw
32 27 0:41 / /mnt/Photos\040and\040Films rw - cifs //nas/photos rw
33 27 0:42 / /mnt/tab\011new\012line\134back\043hash rw - fuse.sshfs me@host: rw
34 27 254:0 /home/me/pictures /srv/bound rw shared:1 - ext4 /dev/vda rw
35 27 0:40 /export/sub /srv/from-nas rw - nfs4 nas:/export rw
36 27 0:50 / /mnt/auto rw - autofs systemd-1 rw,fd=51
37 36 0:51 / /mnt/auto rw - nfs nas:/auto rw
38 27 0:52 / /mnt/hidden/below rw - nfs nas:/hidden rw
39 27 8:2 / /mnt/hidden rw - btrfs /dev/sdb rw
40 27 0:53 / /mnt/optional rw - 9p share rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "file_system"),
    [
        ("/", "ext4"),
        ("/home/me/inbox", "ext4"),
        ("/mnt", "ext4"),
        ("/mnt/nas", "nfs4"),
        ("/mnt/nas/a/b", "nfs4"),
        ("/mnt/nas-2", "ext4"),
        ("/mnt/nas/local/inbox", "xfs"),
        ("/mnt/Photos and Films/inbox", "cifs"),
        ("/mnt/tab\tnew\nline\\back#hash", "fuse.sshfs"),
        ("/srv/bound/inbox", "ext4"),
        ("/srv/from-nas/inbox", "nfs4"),
        ("/mnt/auto/inbox", "nfs"),
        ("/mnt/hidden/below/inbox", "btrfs"),
        ("/mnt/optional", "9p"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_the_mount_it_is_reached_through(path, file_system):
    assert Mounts.parse(MOUNTS).file_system_of(PurePosixPath(path)) == file_system
    shuffled = "\n".join(reversed(MOUNTS.split("\n")))
    assert Mounts.parse(shuffled).file_system_of(PurePosixPath(path)) == file_system


def test_the_file_system_is_found_where_the_topmost_mount_is_its_own_parent_or_out_of_sight():
    assert Mounts.parse("1 1 0:1 / / rw - rootfs rootfs rw").file_system_of(PurePosixPath("/a")) == "rootfs"
    assert Mounts.parse("9 5 0:1 / /data rw - nfs nas:/ rw").file_system_of(PurePosixPath("/data/a")) == "nfs"


@pytest.mark.parametrize("text", ["", "\n", "nonsense", "21 27 0:20 / /proc rw - proc proc rw"])
def test_a_file_system_that_cannot_be_told_is_nameless(text):
    assert Mounts.parse(text).file_system_of(PurePosixPath("/home")) == ""


@linux
def test_the_file_system_of_a_real_folder_is_what_the_system_says():
    said = subprocess.run(["stat", "-f", "-c", "%T", "/proc"], capture_output=True, text=True, check=True).stdout
    assert Mounts.parse(mountinfo()).file_system_of(PurePosixPath("/proc")) == said.strip() == "proc"


@pytest.mark.parametrize(
    "file_system",
    [
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse", "fuse.sshfs", "fuse.rclone", "9p", "afs"),
        *("ceph", "glusterfs", "virtiofs", "vboxsf", "drvfs", "prl_fs"),
    ],
)
def test_file_systems_that_others_change_unseen_are_polled(file_system):
    assert needs_polling(file_system)


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "vfat", ""])
def test_file_systems_of_this_machine_have_events(file_system):
    assert not needs_polling(file_system)


def test_a_system_that_does_not_tell_has_no_mounts(monkeypatch, tmp_path):
    monkeypatch.setattr(mounts, "_MOUNTINFO", tmp_path / "gone")
    assert mountinfo() == ""


BELOW = r"""
27 1 254:0 / / rw - ext4 /dev/vda rw
30 27 0:30 / /srv/in/nas rw - nfs4 nas:/photos rw
31 30 8:1 / /srv/in/nas/disk rw - ext4 /dev/sdb1 rw
32 27 0:32 / /srv/in/win rw - cifs //pc/photos rw
33 27 0:33 / /srv/in/cloud\040drive rw - fuse.rclone remote: rw
34 27 0:34 / /srv/in/vm rw - 9p share rw
35 27 0:35 / /srv/in/.hidden rw - nfs4 nas:/hidden rw
36 27 0:36 / /srv/in/usb rw - vfat /dev/sdc1 rw
37 27 0:37 / /srv/in-2 rw - nfs4 nas:/other rw
38 27 0:38 / /srv/in/covered/by rw - nfs4 nas:/covered rw
39 27 8:2 / /srv/in/covered rw - xfs /dev/sdd rw
"""


def test_each_mount_below_the_inbox_is_a_part_of_its_own():
    parts = parts_of(Path("/srv/in"), Mounts.parse(BELOW), lambda folder: not folder.name.startswith("."))
    assert {str(part): kind for part, kind in parts.by_polling.items()} == {
        "nas": "nfs4",
        "win": "cifs",
        "cloud drive": "fuse.rclone",
        "vm": "9p",
    }
    assert sorted(map(str, parts.by_events)) == [".", "covered", "nas/disk", "usb"]


def test_an_inbox_on_a_share_is_polled_but_for_the_disks_that_are_mounted_in_it():
    parts = parts_of(Path("/srv/in/nas"), Mounts.parse(BELOW), lambda folder: True)
    assert (parts.by_polling, parts.by_events) == ({PurePosixPath(): "nfs4"}, (PurePosixPath("disk"),))


@pytest.mark.parametrize(
    ("options", "unseen"),
    [
        ("rw,lowerdir=/srv/in/nas/base,upperdir=/var/up,workdir=/var/work", "overlay on nfs4"),
        ("rw,lowerdir=/var/a:/srv/in/win/b:/var/c,upperdir=/var/up", "overlay on cifs"),
        (r"rw,lowerdir=/srv/in/cloud\040drive/a\134:b,upperdir=/var/up", "overlay on fuse.rclone"),
        (r"rw,lowerdir=/var/a\134:/srv/in/win/b,upperdir=/var/up", ""),
        ("rw,lowerdir+=/var/a,lowerdir+=/srv/in/nas/b,upperdir=/var/up", "overlay on nfs4"),
        ("rw,lowerdir=/var/a::/srv/in/nas/data", "overlay on nfs4"),
        ("rw,lowerdir=/var/a,datadir+=/srv/in/nas/data", "overlay on nfs4"),
        ("rw,lowerdir=/var/a:/var/b,upperdir=/srv/in/usb/up", ""),
        ("rw,lowerdir=/merged/a:b,upperdir=/merged/up", ""),  # in a container, its layers' places mean nothing
        ("rw", ""),
    ],
)
def test_an_overlay_is_polled_if_a_layer_of_it_is_changed_unseen(options, unseen):
    text = f"{BELOW}\n50 27 0:50 / /merged rw - overlay overlay {options}\n"
    assert Mounts.parse(text).unseen(PurePosixPath("/merged/inbox")) == unseen


def test_an_overlay_on_an_overlay_on_a_share_is_polled():
    text = (
        f"{BELOW}\n50 27 0:50 / /one rw - overlay overlay rw,lowerdir=/srv/in/nas/a,upperdir=/u\n"
        "51 27 0:51 / /two rw - overlay overlay rw,lowerdir=/one/a,upperdir=/u\n"
    )
    assert Mounts.parse(text).unseen(PurePosixPath("/two")) == "overlay on overlay on nfs4"


REAL = """
import sys
from pathlib import PurePosixPath
from monet_watch.inbox import mounts
mount = mounts.Mounts.parse(mounts.mountinfo()).holding(PurePosixPath(sys.argv[1]))
print(mount.file_system, *mounts._layers(mount), sep="|")
"""


@linux
@pytest.mark.parametrize("layer", ["plain", "a b", "a:b", "a,b", "caf\u00e9"])
def test_the_layers_of_a_real_overlay_are_read_whatever_their_names(tmp_path, layer):
    for name in ("memory", "merged"):
        (tmp_path / name).mkdir()
    escaped = re.sub("([:,\\\\])", r"\\\1", layer)
    commands = (
        'mount -t tmpfs memory "$1/memory"',
        'mkdir "$1/memory/$2" "$1/memory/up" "$1/memory/work"',
        'mount -t overlay o -o "lowerdir=$1/memory/$3,upperdir=$1/memory/up,workdir=$1/memory/work" "$1/merged"',
        'exec "$4" -c "$5" "$1/merged/inbox"',
    )
    arguments = [tmp_path, layer, escaped, sys.executable, REAL]
    command = ["unshare", "-Urm", "sh", "-c", " && ".join(commands), "sh", *arguments]
    here = {**os.environ, "PYTHONPATH": str(Path(mounts.__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=here, timeout=60)
    assert done.returncode == 0, f"this machine must permit mounts in a user namespace for this test: {done.stderr}"
    assert done.stdout == f"overlay|{tmp_path}/memory/{layer}|{tmp_path}/memory/up\n"
