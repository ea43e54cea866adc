"""Links, and how often they were followed. Made for one machine: Flask, and sqlite3 of the standard library."""

import os
import sqlite3

from flask import Flask, abort, current_app, g, jsonify, redirect, render_template_string, request, url_for

app = Flask(__name__)
app.config["DATABASE"] = os.environ.get("DATABASE", "links.db")

PAGE = """<!doctype html>
<title>Links</title>
<h1>Links</h1>
<ul>
{% for link in links %}<li><a href="{{ url_for('go', link_id=link.id) }}">{{ link.url }}</a>, followed {{ link.clicks }} times
{% endfor %}</ul>
<form method="post" action="{{ url_for('add') }}"><input name="url" type="url" required> <button>Add</button></form>
"""


def database():
    if "database" not in g:
        g.database = sqlite3.connect(current_app.config["DATABASE"])
        g.database.row_factory = sqlite3.Row
    return g.database


@app.teardown_appcontext
def close_database(error):
    if "database" in g:
        g.database.close()


@app.cli.command("init-db")
def init_db():
    with app.open_resource("schema.sql", mode="r") as schema:
        database().executescript(schema.read())
    print("the tables are there")


@app.get("/")
def index():
    return render_template_string(PAGE, links=all_links())


@app.get("/links")
def links():
    return jsonify([dict(link) for link in all_links()])


@app.post("/links")
def add():
    url = request.form.get("url", "")
    if not url.startswith(("http://", "https://")):
        abort(400, "url is not an address of the web")
    with database() as connection:
        connection.execute("INSERT INTO links (url) VALUES (?)", (url,))
    return redirect(url_for("index"), 303)


@app.get("/go/<int:link_id>")
def go(link_id):
    with database() as connection:
        connection.execute("UPDATE links SET clicks = clicks + 1 WHERE id = ?", (link_id,))
    link = database().execute("SELECT url FROM links WHERE id = ?", (link_id,)).fetchone()
    if link is None:
        abort(404)
    return redirect(link["url"])


def all_links():
    return database().execute("SELECT id, url, clicks FROM links ORDER BY id").fetchall()
