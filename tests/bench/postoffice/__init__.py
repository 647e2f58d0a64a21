"""django-post_office with the same content, to the same sink: accept by `send_many`, send by its command."""
