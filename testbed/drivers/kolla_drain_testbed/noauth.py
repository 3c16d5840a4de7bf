"""Paste filter in keystone's place: who asks is an administrator, of the project that the token names.

The token is USER:PROJECT; without one the project is the filter's own. Nova itself has no such mode any more.
"""


def filter_factory(_global_conf, project_id, **_local_conf):
    def make(application):
        def answer(environ, start_response):
            token = environ.setdefault("HTTP_X_AUTH_TOKEN", f"admin:{project_id}")
            user, _, project = token.partition(":")
            environ["HTTP_X_USER_ID"] = user
            environ["HTTP_X_PROJECT_ID"] = project or project_id
            environ["HTTP_X_ROLES"] = "admin,manager,member,reader"
            return application(environ, start_response)

        return answer

    return make
