"""Master users of emulated clusters: their passwords, and the secrets in which RDS manages them."""

import re

from aurora_restore.embedded import aurora_neighbours as neighbours
from aurora_restore.embedded import aurora_rules as rules
from aurora_restore.embedded.aurora_records import Cluster, MasterSecret, SecretStatus
from aurora_restore.embedded.aurora_rules import Params
from aurora_restore.embedded.aurora_world import new_master_password
from aurora_restore.embedded.dataplane import MasterUser

_RESERVED_NAMES = {"rdsadmin", "postgres_rds", "public", "user", "root"}


def of_new_cluster(params: Params) -> MasterUser:
    """Return the master user of a cluster to be created: the caller's password, or one to be managed by RDS."""
    name = params.get("master_username") or ""
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]{0,62}", name) or name.lower() in _RESERVED_NAMES:
        raise rules.bad_value("The parameter MasterUsername must be provided, and neither blank nor reserved.")
    _refuse_both(params)
    if params.get("manage_master_user_password"):
        return MasterUser(name, new_master_password())
    if params.get("master_user_password") is None:
        raise rules.bad_value("The parameter MasterUserPassword must be provided and must not be blank.")
    return MasterUser(name, rules.master_password(params["master_user_password"]))


def manage(cluster: Cluster, password: str, kms_key: str | None) -> None:
    """Make the secret that RDS manages for the cluster, holding this password; it is ``creating`` for a while."""
    key = neighbours.key_arn(cluster.place, kms_key or neighbours.DEFAULT_SECRETS_KEY)
    content = {"username": cluster.master_username, "password": password}
    arn = neighbours.make_secret(cluster.place, cluster.arn, content, key)
    cluster.master_user_secret = MasterSecret(arn, key)


def change(cluster: Cluster, params: Params) -> str:
    """Do what a modification says about the master user; return the password it is to have, or nothing if it stays."""
    _refuse_both(params)
    wants_management, password = params.get("manage_master_user_password"), params.get("master_user_password")
    secret = cluster.master_user_secret
    if params.get("rotate_master_user_password"):
        return _rotate(cluster, params)
    if wants_management and secret is None:
        made = new_master_password()
        manage(cluster, made, params.get("master_user_secret_kms_key_id"))
        return made
    if wants_management is False and secret is not None:
        if password is None:
            raise rules.bad_combination("Specify MasterUserPassword when you turn off ManageMasterUserPassword.")
        neighbours.delete_secret(cluster.place, secret.secret_arn)
        cluster.master_user_secret = None
    elif password is not None and secret is not None:
        raise rules.bad_combination("You can't specify MasterUserPassword for a cluster whose password RDS manages.")
    return rules.master_password(password) if password is not None else ""


def _rotate(cluster: Cluster, params: Params) -> str:
    if not params.get("apply_immediately"):
        raise rules.bad_combination("You must specify apply immediately when rotating the master user password.")
    if cluster.master_user_secret is None:
        raise rules.bad_combination("RDS does not manage this cluster's master user password.")
    password = new_master_password()
    content = {"username": cluster.master_username, "password": password}
    neighbours.rewrite_secret(cluster.place, cluster.master_user_secret.secret_arn, content)
    cluster.master_user_secret.secret_status = SecretStatus.ROTATING
    return password


def _refuse_both(params: Params) -> None:
    if params.get("manage_master_user_password") and params.get("master_user_password") is not None:
        raise rules.bad_combination("You can't specify MasterUserPassword when ManageMasterUserPassword is turned on.")
