"""Name the roles: those of management keys, and those of people in an account."""

from .outcomes import Described


class Role(Described):
    """List the roles of management keys."""

    ADMIN = "admin", "does everything, in every account"
    DEPLOYER = "deployer", "declares integrations and rotates their tokens, in the accounts that the key names"
    VIEWER = "viewer", "reads, in the accounts that the key names or in every one"
    INTROSPECTOR = "introspector", "asks what tokens open, in the accounts that the key names or in every one"

    @property
    def may_write(self) -> bool:
        """Return whether a key of this role may change integrations and tokens."""
        return self in (Role.ADMIN, Role.DEPLOYER)


class MembershipRole(Described):
    """List the roles of people in an account."""

    ADMIN = "admin", "manages private integrations, and decides about people"
    USER = "user", "sees nothing of private integrations until it is given to them"
